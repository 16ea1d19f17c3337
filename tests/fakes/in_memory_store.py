"""The ReleaseStore and WorkQueue ports in memory; they pass the same contract suite as Redis."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from bot.policy.automation import AutomationLock
from bot.policy.freezes import Freeze
from bot.ports import (
    Announcement,
    AuditHead,
    AuditLine,
    Budget,
    Created,
    Locked,
    Story,
    TemplateVerdict,
    VersionConflict,
)
from bot.query import Query, dump_query, load_query
from bot.releases.facts.events import Event, EventKind
from bot.releases.facts.release import Release
from bot.store.audit import WINDOW_MS
from bot.store.audit_chain import START, entry_of, extend
from bot.store.audit_entries import Stamp, audit_line, dump_entry, load_entry, with_request
from bot.store.records import template_hash

BOOKING_LOST_MS = 15_000


def system_clock() -> int:
    return time.time_ns() // 1_000_000


class InMemoryWorkQueue:
    """``due`` maps wake ids to their times; ``asked`` holds the queries."""

    def __init__(self) -> None:
        self.due: dict[str, int] = {}
        self.is_nudged = False
        self.asked: list[Query] = []

    def wake(self, wake_id: str, at: int) -> None:
        self.due[wake_id] = min(at, self.due.get(wake_id, at))
        self.is_nudged = True

    def ask(self, query: Query) -> None:
        """Through the codec, as every query travels."""
        self.asked.append(load_query(dump_query(query)))


Place = tuple[int, int, int]  # rank, since, promised


class InMemoryBudgets:
    def __init__(self, clock: Callable[[], int]) -> None:
        self._clock = clock
        self._levels: dict[str, tuple[float, int]] = {}
        self._queues: dict[str, dict[str, Place]] = {}  # by claimant
        self._closed: dict[str, int] = {}

    def book(self, budget: Budget, claimant: str, *, rank: int = 0) -> int:
        now, interval = self._clock(), 60_000 / budget.per_minute
        level, at = self._levels.get(budget.name, (float(budget.burst), now))
        level = min(float(budget.burst), level + (now - at) / interval)
        queue = self._queues.setdefault(budget.name, {})
        ahead = self._join(queue, claimant, rank, now)
        kept = 0 if rank == 0 else budget.reserve // 2 if rank == 1 else budget.reserve
        free = level - kept - ahead
        closed = max(0, self._closed.get(budget.name, 0) - now)
        wait = 0
        if free >= 1 and not closed:
            level -= 1
            del queue[claimant]
        else:
            wait = max(1, closed, math.ceil((1 - free) * interval))
            queue[claimant] = (*queue[claimant][:2], now + wait)
        self._levels[budget.name] = (level, now)
        return wait

    def close(self, budget: Budget, *, for_ms: int) -> None:
        self._closed[budget.name] = self._clock() + for_ms
        self._levels[budget.name] = (1.0, self._clock() + for_ms)

    def _join(self, queue: dict[str, Place], claimant: str, rank: int, now: int) -> int:
        """Drops lost bookings; returns how many claimants are ahead."""
        for lost in [
            one for one, (_, _, promised) in queue.items() if promised <= now - BOOKING_LOST_MS
        ]:
            del queue[lost]
        stood_rank, since, _ = queue.get(claimant, (rank, now, now))
        queue[claimant] = (min(rank, stood_rank), since, now)
        return sum(
            1 for name, one in queue.items() if (*one[:2], name) < (*queue[claimant][:2], claimant)
        )


class InMemoryReleaseStore:
    def __init__(
        self,
        queue: InMemoryWorkQueue | None = None,
        *,
        clock: Callable[[], int] = system_clock,
        releases_kept: int = 200,
    ) -> None:
        self.queue = queue or InMemoryWorkQueue()
        self._clock = clock
        self._kept = releases_kept
        self._releases: dict[str, Release] = {}
        self._numbers: dict[str, int] = {}
        self._operations: dict[str, Any] = {}
        self._dedup: dict[str, str] = {}
        self._same: dict[str, str] = {}
        self._sequences: dict[str, int] = {}
        self._outboxes: dict[str, list[Announcement]] = {}
        self._cards: dict[str, tuple[str, str]] = {}
        self._card_wanted: dict[str, int] = {}
        self._card_shown: dict[str, int] = {}
        self._card_booked: dict[str, int] = {}
        self._owners: dict[str, str] = {}
        self._waiting: list[str] = []  # release ids, oldest first
        self._wants: dict[str, set[str]] = {}
        self._verdicts: dict[tuple[str, str], tuple[TemplateVerdict, str, str]] = {}
        self._healthy: dict[str, dict[str, tuple[Any, str, str]]] = {}
        self._durations: dict[str, list[int]] = {}
        self._audit: list[AuditLine] = []
        self._head = START
        self._heads_wanted: dict[str, int] = {}
        self._refusals: dict[tuple[str, str], tuple[int, AuditLine]] = {}  # ends, with the count
        self._freezes: dict[str, Freeze] = {}
        self._automation_locks: dict[tuple[str, str], tuple[AutomationLock, ...]] = {}
        self.counters: Counter[str] = Counter()
        self._passing: dict[str, tuple[str, int]] = {}
        self._passing_orders: dict[str, int] = {}
        self._budgets = InMemoryBudgets(self.now)
        self._starts: dict[str, list[str]] = {}

    def now(self) -> int:
        return self._clock()

    def create(
        self,
        draft: Release,
        *,
        dedup_key: str,
        same_as: str,
        operation: str,
        tick_in_ms: int = 0,
    ) -> Created:
        if operation in self._operations:
            return Created(self.load(self._operations[operation]), True)
        for known in (
            self._dedup.get(dedup_key) if dedup_key else None,
            self._same.get(same_as) if same_as else None,
        ):
            if known is not None:
                if dedup_key:
                    self._dedup.setdefault(dedup_key, known)
                return Created(self.load(known), False)
        app = draft.target.app
        self._numbers[app] = self._numbers.get(app, 0) + 1
        release = replace(draft, id=f"{app}-{self._numbers[app]}", version=1)
        self._releases[release.id] = release
        self._card_wanted[release.id] = 1
        if dedup_key:
            self._dedup[dedup_key] = release.id
        if same_as:
            self._same[same_as] = release.id
        asked = draft.command or f"{draft.change.kind} {app}"
        self._append(release, Event(draft.created_at, EventKind.CREATED, asked, draft.requested_by))
        self._operations[operation] = release.id
        self._wants[release.id] = {f"app/{draft.target.typed}"}
        self._waiting.append(release.id)
        self.queue.wake(f"release:{release.id}", self.now() + tick_in_ms)
        self.queue.wake(f"deliver:{release.id}", self.now())
        return Created(release, True)

    def ask_to_start(self, app: str, request: str, *, operation: str) -> None:
        if operation not in self._operations:
            self._operations[operation] = True
            self._starts.setdefault(app, []).append(request)
            self.queue.wake(f"start:{app}", self.now())

    def next_to_start(self, app: str) -> str | None:
        return next(iter(self._starts.get(app, ())), None)

    def start_answered(self, app: str, request: str, *, operation: str) -> None:
        if operation not in self._operations and request in self._starts.get(app, ()):
            self._starts[app].remove(request)
        self._operations[operation] = True

    def _append(self, release: Release, event: Event) -> None:
        if event.is_audited:
            self._append_line(audit_line(event, release, release.id))
        if event.kind is not EventKind.WROTE:
            self._sequences[release.id] = self._sequences.get(release.id, 0) + 1
            self._outboxes.setdefault(release.id, []).append(
                Announcement(self._sequences[release.id], event)
            )

    def load(self, release_id: str) -> Release:
        release = self._releases[release_id]
        ts = self.card(release_id)[1]
        return replace(release, card_ts=ts) if ts else release

    def save(
        self,
        release: Release,
        events: Sequence[Event],
        *,
        operation: str,
        card: bool = True,
        wake: bool = False,
    ) -> Release:
        if operation in self._operations:
            return replace(release, version=self._operations[operation])
        before = self._releases[release.id]
        if before.version != release.version:
            raise VersionConflict(
                f"{release.id} was saved by another process since version {release.version}"
            )
        saved = replace(release, version=release.version + 1)
        self._releases[release.id] = saved
        if card:
            self._card_wanted[release.id] = saved.version
        for event in events:
            self._append(saved, event)
        told = any(event.kind is not EventKind.WROTE for event in events)
        if card or told:
            booked = 0 if told or saved.phase.is_final else self._card_booked.get(release.id, 0)
            self.queue.wake(f"deliver:{release.id}", max(self.now(), booked))
        if saved.phase.is_final and not before.phase.is_final:
            self.queue.due.pop(f"release:{release.id}", None)
            self._same = {same: known for same, known in self._same.items() if known != release.id}
            self._free(release.id)
            self._trim(saved)
            self._heads_wanted[saved.id] = len(self._audit)
        elif not saved.phase.is_final:
            self.queue.wake(f"release:{release.id}", self.now() + (0 if wake else 1_000))
        self._operations[operation] = saved.version
        return saved

    def _trim(self, saved: Release) -> None:
        final = [
            r
            for r in self._releases.values()
            if r.phase.is_final and r.target.app == saved.target.app
        ]
        for oldest in final[: max(0, len(final) - self._kept)]:
            if oldest.id != saved.id and not self._outboxes.get(oldest.id):
                del self._releases[oldest.id]

    def is_current(self, release: Release) -> bool:
        return (
            release.id in self._releases and self._releases[release.id].version == release.version
        )

    def acquire(self, release: Release, keys: Sequence[str]) -> Locked:
        if self._releases[release.id].phase.is_final:
            raise VersionConflict(f"{release.id} has finished: it takes no locks")
        place = self._releases[release.id].target.typed
        self._wants[release.id].update((*keys, f"app/{place}"))
        if release.id not in self._waiting:
            self._waiting.append(release.id)
            self._waiting.sort(key=list(self._releases).index)
        if self._take(release.id):
            return Locked()
        front = Locked()
        for key in sorted(self._wants[release.id]):
            owner = self._owners.get(key)
            ahead = [
                w for w in self._waiting[: self._waiting.index(release.id)] if key in self._wants[w]
            ]
            behind = ahead[-1] if ahead else owner
            if owner != release.id and behind and len(ahead) + 1 > front.position:
                front = Locked(behind, len(ahead) + 1)
        return front

    def _take(self, release_id: str) -> bool:
        for key in self._wants[release_id]:
            owner = self._owners.get(key)
            first = next((w for w in self._waiting if key in self._wants[w]), release_id)
            if owner != release_id and (owner is not None or first != release_id):
                return False
        self._owners.update(dict.fromkeys(self._wants[release_id], release_id))
        if release_id in self._waiting:
            self._waiting.remove(release_id)
        return True

    def _free(self, release_id: str) -> None:
        self._owners = {key: owner for key, owner in self._owners.items() if owner != release_id}
        if release_id in self._waiting:
            self._waiting.remove(release_id)
        freed = self._wants.pop(release_id, set())
        for waiter in tuple(self._waiting):
            if self._wants[waiter] & freed and self._take(waiter):
                self.queue.wake(f"release:{waiter}", self.now())

    def leave_line(self, release_id: str) -> None:
        self._free(release_id)
        self._wants[release_id] = set()

    def active(self, app: str | None = None, cluster: str | None = None) -> tuple[Release, ...]:
        return tuple(r for r in self._of(app, cluster) if not r.phase.is_final)

    def active_ids(self) -> tuple[str, ...]:
        return tuple(
            release_id
            for release_id, release in self._releases.items()
            if not release.phase.is_final
        )

    def _of(self, app: str | None, cluster: str | None) -> list[Release]:
        return [
            self.load(i)
            for i, r in self._releases.items()
            if app in (None, r.target.app) and cluster in (None, r.target.cluster)
        ]

    def recent(
        self, app: str | None = None, cluster: str | None = None, *, limit: int = 10
    ) -> tuple[Release, ...]:
        return tuple(self._of(app, cluster)[::-1][:limit])

    def record_card(self, release_id: str, *, channel: str, ts: str) -> None:
        if release_id in self._releases:
            self._cards[release_id] = (channel, ts)

    def card(self, release_id: str) -> tuple[str, str]:
        return self._cards.get(release_id, ("", ""))

    def book_card(self, release_id: str, *, in_ms: int) -> None:
        self._card_booked[release_id] = self.now() + in_ms

    def outbox(self, release_id: str) -> tuple[tuple[Announcement, ...], bool]:
        dirty = self._card_wanted.get(release_id, 0) > self._card_shown.get(release_id, 0)
        return tuple(self._outboxes.get(release_id, ())), dirty

    def delivered(self, release_id: str, *, through: int, card_version: int | None) -> None:
        self._outboxes[release_id] = [
            a for a in self._outboxes.get(release_id, []) if a.sequence > through
        ]
        self._card_shown[release_id] = max(card_version or 0, self._card_shown.get(release_id, 0))

    def remember_healthy(
        self, app_key: str, template: Any, *, version: str, release_id: str
    ) -> None:
        name = template_hash(template)
        self._verdicts[app_key, name] = ("healthy", release_id, "")
        known = self._healthy.setdefault(app_key, {})
        known.pop(name, None)
        known[name] = (template, version, release_id)
        for oldest in list(known)[:-10]:
            del known[oldest]

    def remember_bad(
        self, app_key: str, template: Any, *, version: str, why: str, release_id: str
    ) -> None:
        self._verdicts[app_key, template_hash(template)] = ("bad", release_id, why)
        self._healthy.get(app_key, {}).pop(template_hash(template), None)

    def remember_left(
        self, app_key: str, template: Any, *, version: str, why: str, release_id: str
    ) -> None:
        self._verdicts[app_key, template_hash(template)] = ("left", release_id, why)
        self._healthy.get(app_key, {}).pop(template_hash(template), None)

    def lift_bad_mark(self, app_key: str, template: Any) -> None:
        if self.verdict_on(app_key, template)[0] == "bad":
            del self._verdicts[app_key, template_hash(template)]

    def verdict_on(self, app_key: str, template: Any) -> tuple[TemplateVerdict, str, str]:
        return self._verdicts.get((app_key, template_hash(template)), ("", "", ""))

    def last_healthy(self, app_key: str) -> tuple[tuple[Any, str, str], ...]:
        return tuple(self._healthy.get(app_key, {}).values())[::-1]

    def durations(self, app_key: str) -> tuple[int, ...]:
        return tuple(self._durations.get(app_key, ())[:50])

    def remember_duration(self, app_key: str, duration_ms: int, *, operation: str) -> None:
        if operation not in self._operations:
            self._operations[operation] = True
            self._durations.setdefault(app_key, []).insert(0, duration_ms)

    def audit(self, *, app: str | None = None, limit: int = 50) -> tuple[AuditLine, ...]:
        return tuple(line for line in self._audit[::-1] if app is None or line.app == app)[:limit]

    def story(self, release: Release, *, after: str = "", limit: int = 200) -> Story:
        app, start = release.target.app, int(after.partition("-")[0]) if after else 0
        of_app = [
            (f"{number}-0", line) for number, line in enumerate(self._audit, 1) if line.app == app
        ]
        read = [one for one in of_app if int(one[0].partition("-")[0]) > start][:limit]
        lines = tuple(one for one in read if one[1].release_id == release.id)
        return Story(lines, read[-1][0] if read else after, len(read) < limit)

    def write_audit(self, line: AuditLine, *, operation: str) -> None:
        if operation not in self._operations:
            self._operations[operation] = True
            self._append_line(line)

    def _append_line(self, line: AuditLine) -> None:
        number, written = len(self._audit) + 1, dump_entry(with_request(line), "", Stamp())
        self._audit.append(
            load_entry(
                written.line,
                written.words or None,
                number=number,
                release_id=line.release_id,
                count=line.count,
            )
        )

    def write_refusal(self, line: AuditLine, *, same_as: str, operation: str) -> None:
        if operation in self._operations:
            return
        self._operations[operation] = True
        name = (line.by, same_as)
        if name not in self._refusals:
            self._append_line(line)
            self._refusals[name] = self.now() + WINDOW_MS, replace(line, count=0)
        else:
            ends, counted = self._refusals[name]
            self._refusals[name] = ends, replace(counted, count=counted.count + 1)

    def seal_audit(self) -> AuditHead | None:
        for name, (ends, line) in tuple(self._refusals.items()):
            if ends > self.now():
                continue
            del self._refusals[name]
            if line.count:
                self._append_line(line)
                self._refusals[name] = self.now() + WINDOW_MS, replace(line, count=0)
        before, head = self._head, self._head
        for line in self._audit[before.number :]:
            stored = dump_entry(line, "", Stamp())
            about = f"{line.number} {stored.sha} {line.count} {line.release_id}".encode()
            head = extend(head, entry_of(b"%d" % line.at, about, stored.line))
        self._head = head
        for release_id, wanted in self._heads_wanted.items():
            if wanted <= head.number:
                self.queue.wake(f"deliver:{release_id}", self.now())
        return head if head != before else None

    def audit_head(self) -> AuditHead:
        return self._head

    def head_wanted(self, release_id: str) -> AuditHead | None:
        wanted = self._heads_wanted.get(release_id)
        return self._head if wanted is not None and self._head.number >= max(wanted, 1) else None

    def head_posted(self, release_id: str) -> None:
        self._heads_wanted.pop(release_id, None)

    def count(self, name: str) -> None:
        self.counters[name] += 1

    def freezes(self) -> tuple[Freeze, ...]:
        now = self.now()
        in_force = (f for f in self._freezes.values() if f.until is None or f.until > now)
        return tuple(sorted(in_force, key=lambda freeze: freeze.at))

    def change_freeze(
        self,
        scope: str,
        before: Freeze | None,
        after: Freeze | None,
        *,
        operation: str = "",
        audit: AuditLine | None = None,
    ) -> bool:
        if operation and operation in self._operations:
            return True
        if next((one for one in self.freezes() if one.scope == scope), None) != before:
            return False
        if audit is not None:
            self._append_line(audit)
        self._freezes.pop(scope, None)
        if after is not None:
            self._freezes[scope] = after
        self._operations[operation] = True
        return True

    def automation_locks(self, app: str, cluster: str) -> tuple[AutomationLock, ...]:
        return self._automation_locks.get((app, cluster), ())

    def change_automation_locks(
        self,
        app: str,
        cluster: str,
        before: tuple[AutomationLock, ...],
        after: tuple[AutomationLock, ...],
        *,
        operation: str = "",
        audit: AuditLine | None = None,
    ) -> bool:
        if operation and operation in self._operations:
            return True
        if self.automation_locks(app, cluster) != before:
            return False
        if audit is not None:
            self._append_line(audit)
        self._automation_locks[app, cluster] = after
        self._operations[operation] = True
        return True

    def put(self, key: str, value: str, *, ttl_ms: int) -> None:
        self._passing[key] = (value, self.now() + ttl_ms)

    def put_new(self, key: str, value: str, *, ttl_ms: int) -> bool:
        if self.peek(key) not in (None, value):
            return False
        self.put(key, value, ttl_ms=ttl_ms)
        return True

    def put_newest(self, key: str, value: str, *, order: int, ttl_ms: int) -> bool:
        if self.peek(key) is not None and self._passing_orders.get(key, -1) > order:
            return False
        self._passing_orders[key] = order
        self.put(key, value, ttl_ms=ttl_ms)
        return True

    def take(self, key: str) -> str | None:
        found = self.peek(key)
        self._passing.pop(key, None)
        return found

    def peek(self, key: str) -> str | None:
        value, until = self._passing.get(key, ("", 0))
        return value if until > self.now() else None

    def book(self, budget: Budget, claimant: str, *, rank: int = 0) -> int:
        return self._budgets.book(budget, claimant, rank=rank)

    def close(self, budget: Budget, *, for_ms: int) -> None:
        self._budgets.close(budget, for_ms=for_ms)

    def reconcile(self) -> tuple[str, ...]:
        repairs = []
        for owner in set(self._owners.values()):
            if owner not in self._releases or self._releases[owner].phase.is_final:
                self._free(owner)
                repairs.append(f"{owner}: held locks though it is over; freed")
        for release in self.active():
            if f"release:{release.id}" not in self.queue.due:
                self.queue.wake(f"release:{release.id}", self.now())
        for release_id in self._releases:
            announcements, dirty = self.outbox(release_id)
            if (announcements or dirty) and f"deliver:{release_id}" not in self.queue.due:
                self.queue.wake(f"deliver:{release_id}", self.now())
                repairs.append(
                    f"{release_id}: had something to post that nothing would have posted"
                )
        return tuple(repairs)
