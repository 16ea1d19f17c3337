"""The audit stream beside the cluster's own history: every write has its line, nothing is done
twice, and a paused release writes nothing."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from bot.ports import AuditLine
from bot.releases.facts.events import EventKind
from bot.releases.facts.release import Phase, Release

Json = dict[str, Any]
CLAIM = "pilothouse.dev/release"
MANAGER = "pilothouse"
KINDS = {"deployments.apps": "deployment", "services": "service"}
ONCE = (EventKind.CREATED, EventKind.PLANNED, EventKind.FINISHED)
TOLD_ONCE = (EventKind.VOTED, EventKind.GATE_PASSED)
GOES_ON = frozenset(
    {
        EventKind.RESUMED,
        EventKind.CANCELLED,
        EventKind.ROLLING_BACK,
        EventKind.DRIFT_ENDED,
        EventKind.FINISHED,
    }
)


def incomplete(releases: Iterable[Release], lines: Sequence[AuditLine]) -> Iterator[str]:
    """``lines`` oldest first. What happens once in a release is in the stream once."""
    counted = Counter((line.release_id, line.kind) for line in lines)
    for release in releases:
        for kind in ONCE:
            times = counted[release.id, kind.value]
            must = kind is EventKind.CREATED or (
                kind is EventKind.FINISHED and release.phase.is_final
            )
            if times > 1 or (must and times == 0):
                yield (
                    f"{release.id} ({release.phase.value}): {times} lines `{kind.value}` in the"
                    " audit stream"
                )


def counted_twice(lines: Sequence[AuditLine]) -> Iterator[str]:
    """A vote, or the end of a gate, that came of one click too many."""
    told = Counter(
        (line.release_id, line.kind, line.text) for line in lines if line.kind in TOLD_ONCE
    )
    yield from (
        f"{release}: {times} times `{text}`"
        for (release, _, text), times in told.items()
        if times > 1
    )


def without_a_line(
    lines: Sequence[AuditLine], history: Sequence[Json], *, clock_ahead_s: int = 0
) -> Iterator[str]:
    """Each write of ours at the cluster was announced in the audit stream before it came."""
    announced = [
        (line.at / 1000 - clock_ahead_s, line.text.partition(":")[0])
        for line in lines
        if line.kind == EventKind.WROTE.value
    ]
    for write in history:
        kind = KINDS.get(write["resource"])
        if kind is None or not is_ours(write):
            continue
        words = f"{write['verb']} {kind} {write['name']}"
        if not any(text == words and at <= write["time"] + 0.1 for at, text in announced):
            yield f"{words} (write {write['number']}) has no line in the audit stream"


def is_ours(write: Json) -> bool:
    """By the field manager; a deletion has none, so there the client's name decides."""
    if write["verb"] == "delete":
        return str(write.get("agent", "")).startswith(MANAGER)
    return write.get("manager") == MANAGER and not write.get("subresource")


def written_while_paused(lines: Sequence[AuditLine]) -> Iterator[str]:
    """From the pause until someone resumes, only `paused` itself is written, and a failed candidate
    is scaled to zero."""
    paused: set[str] = set()
    for line in lines:
        if line.kind == EventKind.PAUSED.value:
            paused.add(line.release_id)
        elif line.kind in GOES_ON:
            paused.discard(line.release_id)
        elif line.kind == EventKind.WROTE.value and line.release_id in paused:
            what, _, fields = line.text.partition(": ")
            is_safe = fields == "paused" or (fields == "replicas" and what.endswith("-canary"))
            if not is_safe:
                yield f"{line.release_id} was paused, and wrote: {line.text}"


def done_twice(releases: Iterable[Release], history: Sequence[Json]) -> Iterator[str]:
    """No release sets a field to the same value twice: each effect occurs once on the way forward
    and once on the way back."""
    by_id = {release.id: release for release in releases}
    last: dict[tuple[str, str], Json] = {}
    brought: Counter[tuple[str, str, str, str, str]] = Counter()
    owner: dict[tuple[str, str], str] = {}
    for write in history:
        if write["resource"] not in KINDS:
            continue
        place = (write["resource"], write["name"])
        item = write["object"]
        claim = (item["metadata"].get("annotations") or {}).get(CLAIM, "") or owner.get(place, "")
        owner[place] = (item["metadata"].get("annotations") or {}).get(CLAIM, "")
        if write["verb"] == "delete":  # an object created again under this name starts afresh
            last.pop(place, None)
            continue
        before = last.get(place)
        last[place] = item
        if before is None or not is_ours(write) or claim not in by_id:
            continue
        for field, value in _fields(item).items():
            if _fields(before).get(field) != value:
                brought[claim, write["name"], str(item["metadata"].get("uid")), field, value] += 1
    for (release_id, name, _, field, value), times in brought.items():
        if times > 1 and not by_id[release_id].judgements:
            yield f"{release_id} brought {field} of {name} to {value[:80]} {times} times"


def _fields(item: Json) -> dict[str, str]:
    spec = item.get("spec") or {}
    names = ("template", "replicas", "selector", "paused", "sessionAffinity")
    return {name: json.dumps(spec.get(name), sort_keys=True) for name in names if name in spec}


def unreported_end(
    release: Release,
    messages: Sequence[Json],
    lines: Sequence[AuditLine],
    direct: Sequence[Json] = (),
) -> str:
    """ "" when the final state was reported: in a message of the release, by the card that shows
    it, or to the requester in person."""
    if not release.phase.is_final:
        return ""
    finished = next(
        (
            line.text
            for line in lines
            if line.release_id == release.id and line.kind == EventKind.FINISHED.value
        ),
        "",
    )
    texts = [
        str(message.get("text", ""))
        for message in messages
        if key_of(message).startswith(f"{release.id}:")
    ]
    word = release.phase.value.replace("_", " ")
    told = any(
        (finished and finished[:60] in text) or word in text.lower() or _in_own_words(release, text)
        for text in texts
    )
    told = told or any(
        finished and finished[:60] in str(message.get("text", "")) for message in direct
    )
    return (
        ""
        if told
        else f"{release.id} is {word}, and no message says so; its messages: {texts[-3:]}"
    )


def _in_own_words(release: Release, text: str) -> bool:
    return release.phase is Phase.SUCCEEDED and release.to_version in text


def key_of(message: Json) -> str:
    payload = (message.get("metadata") or {}).get("event_payload") or {}
    return str(payload.get("key", ""))


def in_order(lines: Sequence[AuditLine]) -> Iterator[str]:
    """A release that is over stays so."""
    over: set[str] = set()
    for line in lines:
        if line.path or line.kind == "written":  # what was asked of it, and the end of a write
            continue
        if line.release_id in over:
            yield f"{line.release_id}: `{line.text}` after its end"
        if line.kind == EventKind.FINISHED.value:
            over.add(line.release_id)
