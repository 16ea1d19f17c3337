"""The ReleaseStore port on Redis. Each write is one script; see the scripts for what is done
together."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import orjson
from redis import Redis

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
    UnknownSchema,
    VersionConflict,
)
from bot.redis_errors import redis_errors
from bot.releases.facts.events import Event, EventKind
from bot.releases.facts.release import Release
from bot.runtime import new_id
from bot.store import records
from bot.store.audit import WINDOW_MS, Audit
from bot.store.audit_entries import NO_STAMP, Stamp, audit_line, request_of, with_request
from bot.store.connection import PREFIX
from bot.store.outcomes import counts_of
from bot.store.scripts import Scripts

log = logging.getLogger(__name__)

DAY_MS = 86_400_000
DEDUP_TTL_MS = DAY_MS
HEALTHY_KEPT = 10
VERDICTS_KEPT = 200
DURATIONS_KEPT = 50
NAMES_FORGOTTEN_AT_ONCE = 100
READ_AT_ONCE = 20
STORY_SPARE_MS = 1_000
TIME_STANDS_S = 0.5
"""A tick asks for the time once, not nine times; a clock that was set shows in the next one."""


@dataclass(frozen=True)
class Retention:
    """``releases`` counts the final ones kept per app; running ones are always kept."""

    releases: int = 200
    audit_ms: int = 400 * DAY_MS
    names_ms: int = 90 * DAY_MS


class RedisReleaseStore:
    """See bot.ports.ReleaseStore."""

    def __init__(
        self,
        client: Redis,
        *,
        retention: Retention = Retention(),
        stamp: Stamp = NO_STAMP,
        prefix: str = PREFIX,
        new_id: Callable[[], str] = new_id,
        monotonic: Callable[[], float] | None = None,
    ) -> None:
        """``monotonic``: seconds of a clock that cannot be set; with it, ``now`` counts on."""
        self._client = client
        self._retention = retention
        self._prefix = prefix
        self._scripts = Scripts(client, prefix)
        self.trail = Audit(client, self._scripts, prefix, retention.audit_ms, stamp)
        self._new_id = new_id
        self._skipped: set[str] = set()
        self._monotonic = monotonic
        self._time_asked = (0.0, float("-inf"))  # Redis TIME, and ours before it was asked

    def _key(self, name: str) -> str:
        return self._prefix + name

    def now(self) -> int:
        """Never behind Redis, and ahead of it by no more than a request took."""
        if self._monotonic is None:
            return int(self._ask_time())
        ours = self._monotonic()
        time_ms, asked_at = self._time_asked
        if not ours - asked_at < TIME_STANDS_S:
            time_ms, asked_at = self._time_asked = self._ask_time(), ours
        return int(time_ms + (ours - asked_at) * 1000)

    def _ask_time(self) -> float:
        with redis_errors():
            seconds, microseconds = self._client.time()
        return float(seconds * 1000 + microseconds / 1000)

    # --- releases ---------------------------------------------------------------------------------

    def create(
        self,
        draft: Release,
        *,
        dedup_key: str,
        same_as: str,
        operation: str,
        tick_in_ms: int = 0,
    ) -> Created:
        app = draft.target.app
        asked = draft.command or f"{draft.change.kind} {app}"
        event = Event(draft.created_at, EventKind.CREATED, asked, draft.requested_by)
        identity, fresh = self._scripts.run(
            "create",
            operation,
            dedup_key,
            DEDUP_TTL_MS,
            same_as,
            app,
            draft.target.typed,
            draft.phase.value,
            records.dump_release(draft),
            records.dump_event(event),
            *self._dumped(audit_line(event, draft, "")),
            self._retention.audit_ms,
            tick_in_ms,
        )
        if fresh:
            _log_event(draft, identity.decode(), event)
        return Created(self.load(identity.decode()), bool(fresh))

    def ask_to_start(self, app: str, request: str, *, operation: str) -> None:
        self._scripts.run("ask_to_start", operation, app, request)

    def next_to_start(self, app: str) -> str | None:
        with redis_errors():
            found = cast(bytes | None, self._client.lindex(self._key(f"starts:{app}"), 0))
        return None if found is None else found.decode()

    def start_answered(self, app: str, request: str, *, operation: str) -> None:
        self._scripts.run("start_answered", operation, app, request)

    def load(self, release_id: str) -> Release:
        found = self._read((release_id,), strict=True)
        if not found:
            raise KeyError(release_id)
        return found[0]

    def _read(self, identities: Sequence[str], *, strict: bool = False) -> list[Release]:
        """Those that exist, in the order asked for; ``strict`` raises UnknownSchema, else such
        records are left out."""
        with redis_errors():
            pipeline = self._client.pipeline(transaction=False)
            for identity in identities:
                pipeline.hmget(self._key(f"release:{identity}"), ["document", "version", "card_ts"])
            rows = pipeline.execute()
        releases = []
        for identity, (document, version, card_ts) in zip(identities, rows, strict=True):
            if document is None:
                continue
            ts = (card_ts or b"").decode()
            try:
                releases.append(
                    records.load_release(document, id=identity, version=int(version), card_ts=ts)
                )
            except UnknownSchema as error:
                self._log_skipped(identity, error)
                if strict:
                    raise
        return releases

    def _log_skipped(self, release_id: str, error: UnknownSchema) -> None:
        """One line for each release and process, however often it comes by."""
        if release_id not in self._skipped:
            self._skipped.add(release_id)
            log.warning("skipped: %s", error)

    def save(
        self,
        release: Release,
        events: Sequence[Event],
        *,
        operation: str,
        card: bool = True,
        wake: bool = False,
    ) -> Release:
        recorded: list[bytes | str] = []
        for event in events:
            # WROTE is for the audit alone: people read of steps, not of patches.
            recorded.append(b"" if event.kind is EventKind.WROTE else records.dump_event(event))
            line = audit_line(event, release, release.id) if event.is_audited else None
            recorded += self._dumped(line)
        counts = counts_of(release) if release.phase.is_final else {}
        ended = (part for pair in counts.items() for part in pair)
        version = int(
            self._scripts.run(
                "save",
                operation,
                release.id,
                release.version,
                release.phase.value,
                int(release.phase.is_final),
                records.dump_release(release),
                int(card),
                int(wake),
                self._retention.audit_ms,
                self._retention.releases,
                len(events),
                *recorded,
                *ended,
            )
        )
        if version == -1:
            raise KeyError(release.id)
        if version == -2:
            raise VersionConflict(
                f"{release.id} was saved by another process since version {release.version}"
            )
        for event in events:
            _log_event(release, release.id, event)
        return replace(release, version=version)

    def is_current(self, release: Release) -> bool:
        with redis_errors():
            found = cast(
                bytes | None, self._client.hget(self._key(f"release:{release.id}"), "version")
            )
        return found is not None and int(found) == release.version

    def acquire(self, release: Release, keys: Sequence[str]) -> Locked:
        behind, position = self._scripts.run("acquire", release.id, *sorted(set(keys)))
        if position < 0:
            raise VersionConflict(f"{release.id} has finished: it takes no locks")
        return Locked(behind.decode(), position)

    def leave_line(self, release_id: str) -> None:
        self._scripts.run("leave_line", release_id)

    def active(self, app: str | None = None, cluster: str | None = None) -> tuple[Release, ...]:
        with redis_errors():
            found = cast(
                list[bytes],
                self._client.zrange(self._key(f"active:{app}" if app else "active"), 0, -1),
            )
        return tuple(
            release
            for release in self._read([identity.decode() for identity in found])
            if not release.phase.is_final and cluster in (None, release.target.cluster)
        )

    def place_of(self, release_id: str) -> str:
        """What a command names the release's app with (Target.typed); "" unknown."""
        with redis_errors():
            found = cast(
                bytes | None, self._client.hget(self._key(f"release:{release_id}"), "place")
            )
        return (found or b"").decode()

    def active_ids(self) -> tuple[str, ...]:
        with redis_errors():
            found = cast(list[bytes], self._client.zrange(self._key("active"), 0, -1))
        return tuple(identity.decode() for identity in found)

    def recent(
        self, app: str | None = None, cluster: str | None = None, *, limit: int = 10
    ) -> tuple[Release, ...]:
        name = self._key(f"recent:{app}" if app else "recent")
        kept: list[Release] = []
        at, page = 0, limit if cluster is None else max(limit, READ_AT_ONCE)
        while len(kept) < limit:
            # One cluster's may be few among the app's: more are read until there are enough.
            with redis_errors():
                found = cast(list[bytes], self._client.zrevrange(name, at, at + page - 1))
            read = self._read([identity.decode() for identity in found])
            kept += [one for one in read if cluster in (None, one.target.cluster)]
            at += page
            if cluster is None or len(found) < page:
                break
        return tuple(kept[:limit])

    # --- the card and the outbox ------------------------------------------------------------------

    def record_card(self, release_id: str, *, channel: str, ts: str) -> None:
        self._scripts.run("record_card", release_id, channel, ts)

    def card(self, release_id: str) -> tuple[str, str]:
        with redis_errors():
            channel, ts = cast(
                list[bytes | None],
                self._client.hmget(self._key(f"release:{release_id}"), ["card_channel", "card_ts"]),
            )
        return (channel or b"").decode(), (ts or b"").decode()

    def book_card(self, release_id: str, *, in_ms: int) -> None:
        self._scripts.run("book_card", release_id, in_ms)

    def outbox(self, release_id: str) -> tuple[tuple[Announcement, ...], bool]:
        with redis_errors():
            pipeline = self._client.pipeline(transaction=True)
            pipeline.zrange(self._key(f"outbox:{release_id}"), 0, -1)
            pipeline.hmget(self._key(f"release:{release_id}"), ["card_wanted", "card_shown"])
            entries, (wanted, shown) = pipeline.execute()
        return tuple(map(records.load_announcement, entries)), int(wanted or 0) > int(shown or 0)

    def delivered(self, release_id: str, *, through: int, card_version: int | None) -> None:
        self._scripts.run(
            "delivered", release_id, through, "" if card_version is None else card_version
        )

    # --- what was learnt about templates ----------------------------------------------------------

    def remember_healthy(
        self, app_key: str, template: Any, *, version: str, release_id: str
    ) -> None:
        self._remember(app_key, template, "healthy", version=version, why="", release_id=release_id)

    def remember_bad(
        self, app_key: str, template: Any, *, version: str, why: str, release_id: str
    ) -> None:
        self._remember(app_key, template, "bad", version=version, why=why, release_id=release_id)

    def remember_left(
        self, app_key: str, template: Any, *, version: str, why: str, release_id: str
    ) -> None:
        self._remember(app_key, template, "left", version=version, why=why, release_id=release_id)

    def _remember(
        self, app_key: str, template: Any, verdict: str, *, version: str, why: str, release_id: str
    ) -> None:
        self._scripts.run(
            "remember_verdict",
            app_key,
            records.template_hash(template),
            verdict,
            orjson.dumps([verdict, release_id, why]),
            orjson.dumps([template, version, release_id]),
            HEALTHY_KEPT,
            VERDICTS_KEPT,
        )

    def lift_bad_mark(self, app_key: str, template: Any) -> None:
        self._scripts.run("lift_bad_mark", app_key, records.template_hash(template))

    def verdict_on(self, app_key: str, template: Any) -> tuple[TemplateVerdict, str, str]:
        with redis_errors():
            found = self._client.hget(
                self._key(f"verdicts:{app_key}"), records.template_hash(template)
            )
        if found is None:
            return "", "", ""
        verdict, release_id, why = orjson.loads(cast(bytes, found))
        return verdict, release_id, why

    def last_healthy(self, app_key: str) -> tuple[tuple[Any, str, str], ...]:
        with redis_errors():
            hashes = cast(
                list[bytes],
                self._client.zrevrange(self._key(f"healthy:{app_key}"), 0, HEALTHY_KEPT - 1),
            )
            if not hashes:
                return ()
            found = cast(
                list[bytes | None], self._client.hmget(self._key(f"templates:{app_key}"), hashes)
            )
        return tuple(
            (template, version, by)
            for template, version, by in map(orjson.loads, filter(None, found))
        )

    def durations(self, app_key: str) -> tuple[int, ...]:
        with redis_errors():
            found = cast(
                list[bytes],
                self._client.lrange(self._key(f"durations:{app_key}"), 0, DURATIONS_KEPT - 1),
            )
        return tuple(map(int, found))

    def remember_duration(self, app_key: str, duration_ms: int, *, operation: str) -> None:
        self._scripts.run("remember_duration", operation, app_key, duration_ms, DURATIONS_KEPT)

    # --- audit and freezes ------------------------------------------------------------------------

    def _dumped(self, line: AuditLine | None) -> tuple[bytes | str, ...]:
        """As the scripts take an entry; nothing for None."""
        if line is None:
            return b"", "", b""
        return self.trail.dump(with_request(line), self._new_id()).arguments

    def audit(self, *, app: str | None = None, limit: int = 50) -> tuple[AuditLine, ...]:
        return self.trail.newest(app, limit)

    def story(self, release: Release, *, after: str = "", limit: int = 200) -> Story:
        # By the clock of Redis, as the stream's ids are; a second for one that was set back a bit.
        since = max(0, release.created_at - STORY_SPARE_MS)
        read, through = self.trail.of_app(release.target.app, after, since, limit)
        lines = tuple(one for one in read if one[1].release_id == release.id)
        return Story(lines, through, through == after or len(read) < limit)

    def write_audit(self, line: AuditLine, *, operation: str) -> None:
        self._scripts.run(
            "write_audit",
            operation,
            line.app,
            self._retention.audit_ms,
            line.release_id,
            *self._dumped(line),
        )

    def write_refusal(self, line: AuditLine, *, same_as: str, operation: str) -> None:
        self._scripts.run(
            "write_refusal",
            operation,
            line.by or "?",
            same_as,
            WINDOW_MS,
            line.app,
            self._retention.audit_ms,
            line.release_id,
            *self._dumped(line),
        )

    def seal_audit(self) -> AuditHead | None:
        return self.trail.seal(self.now())

    def audit_head(self) -> AuditHead:
        return self.trail.state().sealed

    def head_wanted(self, release_id: str) -> AuditHead | None:
        with redis_errors():
            wanted = self._client.zscore(self._key("heads-wanted"), release_id)
        if wanted is None:
            return None
        head = self.audit_head()
        return head if head.number >= max(wanted, 1) else None

    def head_posted(self, release_id: str) -> None:
        self._scripts.run("head_posted", release_id)

    def count(self, name: str) -> None:
        with redis_errors():
            self._client.hincrby(self._key("counters"), name, 1)

    def freezes(self) -> tuple[Freeze, ...]:
        """Those in force, oldest first."""
        now = self.now()
        with redis_errors():
            found = cast(list[bytes], self._client.hvals(self._key("freezes")))
        all_of_them = map(records.load_freeze, found)
        return tuple(
            sorted(
                (f for f in all_of_them if f.until is None or f.until > now),
                key=lambda freeze: freeze.at,
            )
        )

    def change_freeze(
        self,
        scope: str,
        before: Freeze | None,
        after: Freeze | None,
        *,
        operation: str = "",
        audit: AuditLine | None = None,
    ) -> bool:
        decided_on = -1 if before is None else before.at
        document = b"" if after is None else records.dump_freeze(after)
        line, sha, words = self._dumped(audit)
        return bool(
            self._scripts.run(
                "change_freeze",
                operation or self._new_id(),
                scope,
                decided_on,
                document,
                line,
                audit.app if audit else "",
                self._retention.audit_ms,
                sha,
                words,
            )
        )

    def automation_locks(self, app: str, cluster: str) -> tuple[AutomationLock, ...]:
        with redis_errors():
            found = self._client.hget(self._key("automation-locks"), f"{cluster}/{app}")
        return records.load_automation_locks(cast("bytes | None", found))

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
        line, sha, words = self._dumped(audit)
        return bool(
            self._scripts.run(
                "change_automation_locks",
                operation or self._new_id(),
                f"{cluster}/{app}",
                records.dump_automation_locks(before),
                records.dump_automation_locks(after),
                line,
                audit.app if audit else "",
                self._retention.audit_ms,
                sha,
                words,
                audit.release_id if audit else "",
            )
        )

    # --- small passing state ----------------------------------------------------------------------

    def put(self, key: str, value: str, *, ttl_ms: int) -> None:
        with redis_errors():
            self._client.set(self._key(f"passing:{key}"), value, px=ttl_ms)

    def put_new(self, key: str, value: str, *, ttl_ms: int) -> bool:
        with redis_errors():
            is_new = self._client.set(self._key(f"passing:{key}"), value, px=ttl_ms, nx=True)
        # A write whose first reply was lost finds its own value.
        return bool(is_new) or self.peek(key) == value

    def put_newest(self, key: str, value: str, *, order: int, ttl_ms: int) -> bool:
        return bool(self._scripts.run("put_newest", key, value, order, ttl_ms))

    def take(self, key: str) -> str | None:
        found: bytes | None = self._scripts.run("take", self._new_id(), key)
        return None if found is None else found.decode()

    def peek(self, key: str) -> str | None:
        with redis_errors():
            found = cast(bytes | None, self._client.get(self._key(f"passing:{key}")))
        return None if found is None else found.decode()

    def book(self, budget: Budget, claimant: str, *, rank: int = 0) -> int:
        return int(
            self._scripts.run(
                "book", budget.name, budget.per_minute, budget.burst, budget.reserve, claimant, rank
            )
        )

    def close(self, budget: Budget, *, for_ms: int) -> None:
        self._scripts.run("close_budget", budget.name, for_ms)

    # --- upkeep -----------------------------------------------------------------------------------

    def reconcile(self) -> tuple[str, ...]:
        """Free locks of finished releases, wake active releases and undelivered cards that nothing
        would wake, and forget names and audit lines after their time. Returns a line for each
        repair."""
        repaired = tuple(
            line.decode() for line in self._scripts.run("reconcile", self._retention.audit_ms)
        )
        self._forget_names()
        return repaired

    def _forget_names(self) -> None:
        before = self.now() - self._retention.names_ms
        with redis_errors():
            name = self._key("named")
            found = cast(
                list[bytes],
                self._client.zrangebyscore(name, "-inf", before, 0, NAMES_FORGOTTEN_AT_ONCE),
            )
        for release in self._read([identity.decode() for identity in found]):
            document = records.dump_release(records.without_names(release))
            self._scripts.run("forget_names", release.id, release.version, document)


def _log_event(release: Release, release_id: str, event: Event) -> None:
    """One line for each thing that a release does. No text: people's reasons are in it."""
    target = release.target
    fields = {
        "release": release_id,
        "app": target.app,
        "cluster": target.cluster,
        "phase": release.phase.value,
        "event": event.kind.value,
        "step": event.step,
        "request": request_of(release),
    }
    known = {name: value for name, value in fields.items() if value}
    line = " ".join(f"{name}={value}" for name, value in known.items())
    log.info("%s", line, extra={"fields": known})
