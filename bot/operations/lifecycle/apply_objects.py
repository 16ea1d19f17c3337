"""The objects of an `/apply`, written by its release: each only while it is what was confirmed, and
audited before it is sent."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from bot.operations.context import Context
from bot.operations.lifecycle.compare_manifests import (
    Compared,
    compare_manifests,
    conflicts_of,
    moved,
    refusal_of_changes,
    shown_object,
    title_of,
)
from bot.policy.permissions import Permission, Role, may
from bot.ports import (
    Applied,
    AuditLine,
    Cluster,
    ClusterUnreachable,
    ObjectChange,
    Refused,
)
from bot.releases.engine.decision import Decision, finish
from bot.releases.engine.manifests import applied_text
from bot.releases.engine.respond import respond
from bot.releases.facts.changes import Reapply
from bot.releases.facts.counts import some_of
from bot.releases.facts.events import Event, EventKind
from bot.releases.facts.observation import Observation
from bot.releases.facts.release import Phase, Release
from bot.releases.facts.requests import Refuse

MAX_NAMED = 3
AGAIN_MS = 1_000
WITHIN_MS = 600_000
"""From the first write: an API server that is away for longer ends it, with what was applied."""
RECORDED_AGAIN_MS = 3_600_000


def prepare_apply(
    context: Context, release: Release, seen: Observation, roles: frozenset[Role]
) -> Release | Decision:
    """With the template to roll, compared now that the release holds its locks. A Decision ends it.
    Raises ClusterUnreachable, Refused."""
    change, now = release.change, context.store.now()
    if not isinstance(change, Reapply) or not change.shown or change.objects == "writing":
        return release
    compared = _compared(context, release)
    if isinstance(compared, str):
        return respond(release, Refuse(compared), now)
    refusal = refusal_of_changes(release.target, compared.changes, roles) or conflicts_of(
        release.target, compared.changes
    )
    names = moved({one.title: one.digest for one in change.shown}, compared.digests)
    if not refusal and names:
        refusal = f"{some_of(names, MAX_NAMED)} changed since it was shown: apply again"
    if not refusal and seen.stable is None and _asks(release) and not may(roles, Permission.ADMIN):
        refusal = (
            f"{release.target.deployment} does not exist yet, so there is no plan to approve. Only"
            " an admin may create it, since its releases need an approval"
        )
    if refusal:
        return respond(release, Refuse(f"nothing was applied: {refusal}"), now)
    return replace(release, change=replace(change, template=compared.template))


def _asks(release: Release) -> bool:
    approvals = release.rules.approvals
    return approvals.start > 0 or release.rules.own_strategy_asks


def _compared(context: Context, release: Release) -> Compared | str:
    app = context.catalog.find(release.target.app, release.target.cluster)
    if app is None:
        return f"the catalog no longer has the app {release.target.label}"
    return compare_manifests(context, app, release.target)


def apply_objects(context: Context, cluster: Cluster, release: Release, ends: float) -> int | None:
    """Returns when to continue (milliseconds of Redis TIME); None when the release is over. Raises
    VersionConflict."""
    change = release.change
    if not isinstance(change, Reapply):
        return context.store.now()
    if change.objects != "writing":
        change = replace(change, objects="writing", writing_since=context.store.now())
        release = _save(context, Decision(replace(release, change=change)))
    return _Writing(context, release, change, ends).run(cluster)


def _save(context: Context, decision: Decision) -> Release:
    return context.store.save(decision.release, decision.events, operation=context.runtime.new_id())


@dataclass
class _Writing:
    context: Context
    release: Release
    change: Reapply
    ends: float
    unlike: list[str] = field(default_factory=list)  # what is not as it was confirmed
    compared: Compared | None = None

    def run(self, cluster: Cluster) -> int | None:
        result = self._apply(cluster)
        applied = tuple(
            dict.fromkeys((*self.change.applied, *(title_of(one) for one in result.changes)))
        )
        self.change = replace(self.change, applied=applied)
        self.release = replace(self.release, change=self.change)
        if isinstance(result.why, ClusterUnreachable):
            return self._hold(result.why)
        if result.why is not None:
            return self._end(str(result.why))
        if self.unlike:
            return self._end(f"{some_of(self.unlike, MAX_NAMED)} changed since it was shown")
        if result.left:  # out of time, or a person was faster
            self._save_progress()
            return self.context.store.now()
        return self._done()

    def _apply(self, cluster: Cluster) -> Applied:
        try:
            compared = _compared(self.context, self.release)
            if isinstance(compared, str):
                return Applied((), (), Refused(compared))
            self.compared = compared
            target = self.release.target
            return cluster.apply_manifests(
                target,
                compared.manifests,
                skip_template_of=target.deployment,
                may_write=self._may_write,
            )
        except (ClusterUnreachable, Refused) as why:
            return Applied((), (), why)

    def _may_write(self, change: ObjectChange) -> bool:
        title = title_of(change)
        if change.does != "unchanged" and not self._is_confirmed(change):
            self.unlike.append(title)
            return False
        is_late = self.context.runtime.monotonic() > self.ends
        if is_late or not self.context.store.is_current(self.release):
            return False
        line = AuditLine(
            self.context.store.now(),
            self.release.id,
            self.release.target.app,
            EventKind.WROTE.value,
            f"apply {title}",
            self.release.requested_by.user,
        )
        # Under one name: a write that is sent again is in the audit once.
        self.context.store.write_audit(line, operation=f"{self.release.id}:apply:{title}")
        return True

    def _is_confirmed(self, change: ObjectChange) -> bool:
        manifests = self.compared.manifests if self.compared else ()
        now = shown_object(self.context.digest_key, change, manifests)
        return any((one.title, one.digest) == (now.title, now.digest) for one in self.change.shown)

    def _done(self) -> int | None:
        now, change = self.context.store.now(), replace(self.change, objects="written")
        release = replace(self.release, change=change)
        if release.plan is None:  # there is no Deployment yet to roll
            ended = finish(
                Decision(replace(release, started_at=change.writing_since)),
                Phase.SUCCEEDED,
                now,
                applied_text(release, change),
            )
            _save(self.context, ended)
            return None
        done = Decision(release)
        if change.template is not None:
            done = done.record(now, EventKind.STEP_DONE, f"applied: {change.account}")
        _save(self.context, done)
        return now

    def _hold(self, away: ClusterUnreachable) -> int | None:
        now = self.context.store.now()
        if now - self.change.writing_since > WITHIN_MS:
            return self._end(away.why)
        events: tuple[Event, ...] = ()
        waits, mark = f"{self.release.id} objects wait", self.context.runtime.new_id()
        if self.context.store.put_new(waits, mark, ttl_ms=RECORDED_AGAIN_MS):
            text = f"trying again: {away.why}. So far: {self.change.account}"
            events = (Event(now, EventKind.ENVIRONMENT, text),)
        self._save_progress(events)
        return now + (away.retry_after_ms or AGAIN_MS)

    def _save_progress(self, events: tuple[Event, ...] = ()) -> None:
        if events or self.release != self.context.store.load(self.release.id):
            self.context.store.save(self.release, events, operation=self.context.runtime.new_id())

    def _end(self, why: str) -> int | None:
        text = f"{why}. Applied: {self.change.account}"
        _save(self.context, respond(self.release, Refuse(text), self.context.store.now()))
        return None
