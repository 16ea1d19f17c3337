"""Is the audit as it was written? The stored entries beside heads that were posted elsewhere."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from bot.ports import AuditHead
from bot.store.audit import AuditState
from bot.store.audit_chain import Entry, chained
from bot.store.audit_entries import has_words, is_of

_MOST_MISSING = 1_000_000
"""Numbers that are kept to name what is missing."""


@dataclass
class Verdict:
    """``findings``: what is not as it was written. ``notes``: what is known of the rest."""

    findings: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def verify(
    entries: Iterable[tuple[Entry, bytes | None]],
    state: AuditState,
    witness: Collection[AuditHead] = (),
) -> Verdict:
    """``entries``: oldest first, each with the words beside it."""
    walk = _Walk(state, witness)
    for entry, words in entries:
        walk.take(entry, words)
    return walk.end()


class _Walk:
    def __init__(self, state: AuditState, witness: Collection[AuditHead]) -> None:
        self.state = state
        self.witness: Mapping[int, str] = {head.number: head.digest for head in witness}
        self.found = Verdict()
        self._contradictions(witness)
        self.own = bytes.fromhex(state.checkpoint.digest)  # the chain as the entries are now
        self.agreed = self.own  # the same, from the last witnessed head on
        self.witnessed_to = state.checkpoint.number
        self.missing: set[int] = set()
        self.last, self.numbered, self.early, self.strange, self.erased = 0, 0, 0, 0, 0
        self.says_trimmed = not state.checkpoint.number
        self._check_checkpoint()

    def _contradictions(self, witness: Collection[AuditHead]) -> None:
        for head in witness:
            if self.witness[head.number] != head.digest:
                self.found.findings.append(
                    f"the witness holds two heads of entry {head.number}: it is of two"
                    " installations, or one of them was posted by someone else"
                )

    def _check_checkpoint(self) -> None:
        checkpoint = self.state.checkpoint
        digest = self.witness.get(checkpoint.number)
        if digest is not None and digest != checkpoint.digest:
            self.found.findings.append(
                f"the checkpoint at entry {checkpoint.number} is not the head that was witnessed"
            )

    def take(self, entry: Entry, words: bytes | None) -> None:
        if not entry.number:
            self.early += not self.numbered
            self.strange += bool(self.numbered)
            return
        self.numbered += 1
        self._place(entry)
        self._compare(entry, words)
        same, digest = self.own == self.agreed, entry.digest
        self.own = chained(self.own, digest)
        self.agreed = self.own if same else chained(self.agreed, digest)
        self._check_seal(entry.number)
        self._meet(entry.number)
        if not self.says_trimmed and str(self.state.checkpoint).encode() in entry.line:
            self.says_trimmed = True

    def _place(self, entry: Entry) -> None:
        expected = max(self.last, self.state.checkpoint.number) + 1
        if entry.number >= expected:
            self.missing.update(range(expected, min(entry.number, expected + _MOST_MISSING)))
            self.last = entry.number
        elif entry.number in self.missing:
            self.missing.remove(entry.number)
            self._finding(f"entry {entry.number} stands behind entry {self.last}: reordered")
        else:
            self._finding(f"entry {entry.number} is there twice, or belongs before the checkpoint")

    def _compare(self, entry: Entry, words: bytes | None) -> None:
        if not entry.is_whole:
            self._finding(f"entry {entry.number} was changed: it is not what its writer sent")
        elif words is not None and not is_of(entry.line, words):
            self._finding(f"the words beside entry {entry.number} were changed")
        elif words is None and has_words(entry.line):
            self.erased += 1

    def _meet(self, number: int) -> None:
        digest = self.witness.get(number)
        if digest is None:
            return
        if digest != self.agreed.hex():
            self._finding(
                f"{_range(self.witnessed_to + 1, number)}: something was changed, removed, added or"
                f" reordered, for the head that was witnessed at {number} is another"
            )
        self.agreed = bytes.fromhex(digest)
        self.witnessed_to = max(self.witnessed_to, number)
        if number == self.state.sealed.number and digest != self.state.sealed.digest:
            self._finding(f"the seal in Redis is not the head that was witnessed at {number}")

    def _finding(self, line: str) -> None:
        self.found.findings.append(line)

    def end(self) -> Verdict:
        for first, last in _stretches(sorted(self.missing)):
            self._finding(f"{_entries(first, last)} missing")
        self._check_end()
        if self.strange:
            self._finding(
                f"{_counted(self.strange)} without a number: added by hand, or"
                " written by an earlier version during an upgrade"
            )
        if not self.says_trimmed:
            self._finding(
                f"entries up to {self.state.checkpoint.number} were trimmed, and no entry says so"
            )
        self.found.notes = [*self._notes()]
        return self.found

    def _check_seal(self, number: int) -> None:
        sealed = self.state.sealed
        if number == sealed.number and sealed.digest != self.own.hex():
            self._finding(f"the entries up to {number} are not those that were sealed")

    def _check_end(self) -> None:
        last = max(self.last, self.state.checkpoint.number)
        known = max([self.state.number, self.state.sealed.number, *self.witness])
        if known <= last:
            return
        by = "were witnessed" if known in self.witness else "were written, as Redis counted"
        self._finding(f"cut: entries up to {known} {by}, and the audit ends at {last}")

    def _notes(self) -> Iterator[str]:
        state, last = self.state, self.last
        first = state.checkpoint.number + 1
        yield f"{_counted(self.numbered)}, sealed up to {state.sealed.number}"
        if state.checkpoint.number:
            yield f"trimmed by the retention: entries up to {state.checkpoint.number}"
        if self.early:
            yield f"{_counted(self.early)} of a version that did not number them"
        if last > state.sealed.number:
            yield f"not sealed yet: {_range(state.sealed.number + 1, last)}"
        if self.erased:
            yield f"erased: the words beside {_counted(self.erased)}"
        if self.witnessed_to >= first:
            yield f"witnessed: {_range(first, min(self.witnessed_to, last))}"
        if last > self.witnessed_to:
            yield (
                f"witnessed by nobody: {_range(max(first, self.witnessed_to + 1), last)}; a change"
                " there by someone who can write to Redis is not found"
            )


def _counted(count: int) -> str:
    return "1 entry" if count == 1 else f"{count} entries"


def _range(first: int, last: int) -> str:
    return f"entry {first}" if first == last else f"entries {first} to {last}"


def _entries(first: int, last: int) -> str:
    return f"{_range(first, last)} {'is' if first == last else 'are'}"


def _stretches(numbers: list[int]) -> Iterator[tuple[int, int]]:
    first = last = None
    for number in numbers:
        if last is not None and first is not None and number != last + 1:
            yield first, last
            first = number
        first, last = number if first is None else first, number
    if first is not None and last is not None:
        yield first, last
