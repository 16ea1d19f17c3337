"""Reads what went through the ports and says what must not have happened. It shares no rule with
the product: it knows what was promised, and not how it is kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from bot.operations.context import Context
from bot.operations.replies import Receipt
from bot.operations.requests import Invocation
from bot.ports import (
    ChannelUnavailable,
    ClusterUnreachable,
    Created,
    RateLimited,
    ReleaseStore,
    SlackUnavailable,
    StoreUnavailable,
)
from bot.releases.facts.actions import (
    Action,
    CreateDeployment,
    DeleteDeployment,
    PatchDeployment,
    PatchService,
)
from bot.releases.facts.events import Event, EventKind
from bot.releases.facts.intent import Field
from bot.releases.facts.observation import CLAIM_ANNOTATION
from bot.releases.facts.release import WAITING_PHASES, Phase, Release
from bot.store import RedisReleaseStore
from bot.store.audit_chain import heads_in
from tests.audit_findings import audit_findings
from tests.simulation.cluster import Namespace
from tests.simulation.hearing import Hearing
from tests.simulation.other_versions import is_newer
from tests.simulation.slack import SimulatedSlack
from tests.simulation.trace import Trace, told

OUTSIDE = (
    StoreUnavailable, ClusterUnreachable, SlackUnavailable, ChannelUnavailable, RateLimited,
)  # fmt: skip
"""What a job may raise: the outside did not answer, and the job comes again."""
FIELDS = ("template", "replicas", "strategy", "paused", "labels")
LOST_WITHIN_MS = 3_000
AUDITED = {EventKind.VOTED.value, EventKind.GATE_PASSED.value, EventKind.FINISHED.value}
FAILED = (Phase.FAILED, Phase.ROLLED_BACK, Phase.EXPIRED)


@dataclass
class _Began:
    """As the cluster was when a release planned, and what others changed since."""

    namespace: str
    state: dict[str, Any]
    changed: set[tuple[str, str]] = field(default_factory=set)


@dataclass
class Judge:
    trace: Trace
    now: Callable[[], int]
    namespaces: Mapping[str, Namespace]
    slack: SimulatedSlack
    violations: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    records: dict[str, Release] = field(default_factory=dict)
    created_at: dict[str, int] = field(default_factory=dict)
    began: dict[str, _Began] = field(default_factory=dict)
    written: list[tuple[str, str]] = field(default_factory=list)  # (namespace, "kind name")
    made: set[str] = field(default_factory=set)  # uids of what we created
    lost_pods_at: dict[str, int] = field(default_factory=dict)
    remembered_at: int = 0
    forced: set[str] = field(default_factory=set)
    losses: list[tuple[int, int]] = field(default_factory=list)  # what happened between is gone
    forgotten: set[str] = field(default_factory=set)  # lost with Redis' last moments
    changed_freezes: int = 0
    faults: dict[str, set[str]] = field(default_factory=dict)  # by release, while it ran
    hearing: Hearing = field(init=False)

    def __post_init__(self) -> None:
        self.hearing = Hearing(self.slack, self.violate)

    @property
    def releases(self) -> int:
        return len(self.created_at)

    def violate(self, what: str) -> None:
        self.trace.add(self.now(), "judge", f"VIOLATION {what}")
        self.violations.append(f"{self.now()}: {what}")

    # --- the store --------------------------------------------------------------------------------

    def on_store(self, method: str, args: tuple[Any, ...], result: Any) -> None:
        if method == "create" and isinstance(result, Created) and result.fresh:
            if result.release.id in self.created_at:
                self.violate(f"{result.release.id} was given twice")
            self.created_at[result.release.id] = self.now()
            self.records[result.release.id] = result.release
        if method == "count" and args[0].startswith("withheld:"):
            self.violate(f"a write was withheld: {args[0]}")
        if method == "change_freeze" and result:
            self.changed_freezes += 1
        if method == "save" and isinstance(result, Release):
            self._saved(result, args[1])

    def _saved(self, release: Release, events: tuple[Event, ...]) -> None:
        before = self.records.get(release.id)
        self.records[release.id] = release
        if before is not None and before.phase.is_final and before.phase is not release.phase:
            self.violate(f"{release.id} was {before.phase.value} and is {release.phase.value}")
        namespace = release.target.namespace
        if release.plan is not None and release.id not in self.began:
            state = self.namespaces[namespace].model.state()
            self.began[release.id] = _Began(namespace, state)
        if self._runs(release):
            beside = [
                one.id
                for one in self.records.values()
                if one.id != release.id and one.target.app == release.target.app and self._runs(one)
            ]
            if beside:
                self.violate(f"{release.id} runs beside {', '.join(beside)}")
        self.hearing.on_saved(before, release, events)
        if before is None or before.phase is not release.phase:
            self.counts[f"phase: {release.phase.value}"] += 1
        if before is not None and before.phase is not release.phase:
            self.counts[f"transition: {before.phase.value} -> {release.phase.value}"] += 1
        if release.phase.is_final and before is not None and not before.phase.is_final:
            self.counts[f"ended: {release.strategy.value} {release.phase.value}"] += 1
            self._ended(release, events)

    @staticmethod
    def _runs(release: Release) -> bool:
        return release.plan is not None and not release.phase.is_final

    # --- faults -----------------------------------------------------------------------------------

    def on_fault(self, what: str) -> None:
        """Each release that runs meets it."""
        for release in self.records.values():
            if release.phase.is_final:
                continue
            met = self.faults.setdefault(release.id, set())
            if what not in met:
                self.counts.update(f"pair: {min(what, one)} + {max(what, one)}" for one in met)
                met.add(what)

    def check_newer(self, newer: Iterable[str], documents: Mapping[str, bytes]) -> None:
        """What a newer version had written into a record is there, whatever was saved since."""
        for identity in sorted(newer):
            document = documents.get(identity)
            if document is not None and not is_newer(document) and not self.losses:
                self.violate(f"{identity} lost what a newer version had saved")

    # --- the end of a release ---------------------------------------------------------------------

    def _ended(self, release: Release, events: tuple[Event, ...]) -> None:
        began = self.began.get(release.id)
        if began is None or self._lost_its_beginning(release):
            return
        model = self.namespaces[release.target.namespace].model
        for name, item in model.deployments.items():
            is_left = release.id in self.forced  # the cluster stays as it is
            if item.annotations.get(CLAIM_ANNOTATION) == release.id and not is_left:
                self.violate(f"{release.id} is over and {name} keeps its claim")
        is_left = self._is_left(release, events) or release.id in self.forced
        if release.phase is not Phase.SUCCEEDED and not is_left:
            self._check_as_found(release, began, model.state())

    def _lost_its_beginning(self, release: Release) -> bool:
        """Redis forgot it; the release says so, and leaves the cluster as it is."""
        cause = release.cause.summary if release.cause else ""
        is_told = bool(self.losses) and "Redis lost what it found there" in cause
        if is_told:
            self.forced.add(release.id)
            self.counts["ended without its beginning"] += 1
        return is_told

    def _check_as_found(self, release: Release, began: _Began, now: dict[str, Any]) -> None:
        for name, found in began.state["deployments"].items():
            there = now["deployments"].get(name)
            if there is None or there["uid"] != found["uid"]:
                if (name, "exists") not in began.changed:
                    self.violate(f"{release.id} ended as {release.phase.value} and {name} is gone")
                continue
            for one in FIELDS:
                touched = {(name, one), (name, "annotations")} & began.changed
                if not touched and there[one] != found[one]:
                    self.violate(
                        f"{release.id} ended as {release.phase.value}: {one} of {name} is"
                        f" {there[one]!r}, as found {found[one]!r}"
                    )
        for name, (uid, selector, _) in began.state["services"].items():
            present = now["services"].get(name)
            if (name, "selector") not in began.changed and (
                present is None or present[:2] != (uid, selector)
            ):
                self.violate(f"{release.id} ended and Service {name} is not as found")

    @staticmethod
    def _is_left(release: Release, events: tuple[Event, ...]) -> bool:
        """The end says that the cluster was left as it is."""
        ends = (event.text for event in events if event.kind is EventKind.FINISHED)
        cause = release.cause.summary if release.cause else ""
        texts = (cause, release.progress.waits_for, *ends)
        return any(
            word in text for text in texts for word in ("left", "is kept", "kept a change", "stays")
        )

    # --- the cluster ------------------------------------------------------------------------------

    def on_write(self, namespace: str, action: Action) -> Callable[[], None]:
        model = self.namespaces[namespace].model
        ready = {name: len(model.selected(name)) for name in model.app_services}
        gone = self._removed(model, action)

        def done() -> None:
            self.written.append((namespace, f"{action.kind.replace('_', ' ')} {action.name}"))
            self.counts[f"write: {action.kind}"] += 1
            if isinstance(action, CreateDeployment):
                self.made.add(model.deployments[action.name].uid)
            if isinstance(action, DeleteDeployment) and action.uid not in self.made:
                self.violate(f"{action.name} was deleted, and Pilothouse had not made it")
            if isinstance(action, PatchService):
                self._check_answers(namespace, action)
            for name, before in ready.items():
                left = len(model.selected(name)) - gone.get(name, 0)
                self._check_ready(namespace, name, before, left, action)

        return done

    def _check_answers(self, namespace: str, action: PatchService) -> None:
        """Nobody is sent to a version that answered its probe with errors."""
        release = self._running_in(namespace)
        if release is None or release.rules.probe is None or release.rollback is not None:
            return
        model = self.namespaces[namespace].model
        images = model.images()
        sick = [pod for pod in model.selected(action.name) if images[pod] in model.sick_images]
        began = self.began.get(release.id)
        if sick and began is not None and not any(what == "template" for _, what in began.changed):
            self.violate(f"{release.id} sent {action.name} to {sick[0]}, which answers errors")

    def _running_in(self, namespace: str) -> Release | None:
        runs = [one for one in self.records.values() if one.target.namespace == namespace]
        return next((one for one in runs if self._runs(one)), None)

    def _removed(self, model: Any, action: Action) -> dict[str, int]:
        """Ready pods that the controllers take away because of the write, by Service."""
        item = model.deployments.get(action.name)
        if item is None or not isinstance(action, PatchDeployment):
            return {}
        own = {pod.name for pod in item.pods()}
        fewer = 0
        for change in action.changes:
            if change.field is Field.REPLICAS and change.after < item.replicas:
                fewer = max(0, len(own) - change.after)
        if not fewer:
            return {}
        found = {}
        for name in model.app_services:
            ready_own = sum(pod in own for pod in model.selected(name))
            unready = len(own) - ready_own
            found[name] = max(0, fewer - unready)
        return found

    def _check_ready(
        self, namespace: str, service: str, before: int, left: int, action: Action
    ) -> None:
        release = self._running_in(namespace)
        if self.now() - self.lost_pods_at.get(namespace, -(10**9)) < 120_000 or before == 0:
            return
        least = 1
        if release is not None and release.plan is not None:
            others = self.began[release.id].changed if release.id in self.began else set()
            way_back = release.rollback is not None or release.progress.accepts_less
            if not way_back and not any(one == "replicas" for _, one in others):
                least = max(1, release.plan.floor)
            if self._scales_to(release) is not None:
                least = min(least, self._scales_to(release) or 0)
        if left < min(before, least):
            self.violate(
                f"{told(action)} leaves {left} of {before} ready endpoints of {service}"
                f" in {namespace}; promised {least}"
            )

    @staticmethod
    def _scales_to(release: Release) -> int | None:
        return getattr(release.change, "replicas", None)

    def on_other_writer(self, namespace: str, name: str, what: str) -> None:
        self.hearing.others_wrote_at[namespace] = self.now()
        for began in self.began.values():
            if began.namespace == namespace:
                began.changed.add((name, what))

    def on_lost_pods(self, namespace: str) -> None:
        self.lost_pods_at[namespace] = self.now()

    # --- Slack ------------------------------------------------------------------------------------

    def on_slack(self, method: str, args: tuple[Any, ...], result: Any) -> None:
        if method == "post":
            self.counts["posted"] += 1
            key = self.slack.messages[args[0], result].key
            same = [one for one in self.slack.messages.values() if key and one.key == key]
            if len(same) > 1 and not self._was_lost(same[0].posted_at):
                self.violate(f"{key} was posted {len(same)} times")

    def on_reply(self, invocation: Invocation, reply: object) -> None:
        if isinstance(reply, Receipt) and reply.release.id not in self.created_at:
            self.violate(f"{told(invocation)} was answered with {reply.release.id}, never created")

    # --- jobs and processes -----------------------------------------------------------------------

    def on_failed_job(self, what: str, error: Exception) -> None:
        self.trace.add(self.now(), "job", f"{what} raised {told(error)}")
        if not isinstance(error, OUTSIDE):
            self.violate(f"the job {what} raised {told(error)}")

    def on_crash(self, name: str, error: Exception) -> None:
        self.trace.add(self.now(), name, f"ended with {told(error)}")
        if not isinstance(error, OUTSIDE):
            self.violate(f"{name} ended with {told(error)}")

    # --- a Redis that loses its last second -------------------------------------------------------

    def on_remembered(self) -> None:
        self.remembered_at = self.now()

    def on_lost_second(self) -> None:
        """Records of what was lost are not what the store holds now."""
        self.hearing.is_forgetful = True
        self.losses.append((self.remembered_at, self.now()))
        for identity, at in [*self.created_at.items()]:
            if at >= self.remembered_at:
                del self.created_at[identity]
                self.forgotten.add(identity)
                self.records.pop(identity, None)
                self.began.pop(identity, None)
        self.records.clear()

    def on_force(self, release: Release, card: tuple[str, str]) -> None:
        """A release that does not end by itself must say why, and show it."""
        if release.id not in self.forced:
            self.hearing.check_wait(release, self.slack.messages.get(card))
        named = release.phase in WAITING_PHASES or release.queued_behind or release.unreachable
        if not named and not release.progress.waits_for and release.progress.gate is None:
            self.violate(f"waits for nothing that has a name: {told(release)}")
        self.counts["ended by force"] += release.id not in self.forced
        self.forced.add(release.id)

    def _was_lost(self, at: int) -> bool:
        """Redis forgot what it was told then: a message may come twice, and a release may be
        unknown."""
        return any(a - LOST_WITHIN_MS <= at <= b + LOST_WITHIN_MS for a, b in self.losses)

    # --- at the very end --------------------------------------------------------------------------

    def verdict(self, store: ReleaseStore) -> list[str]:
        """What may never have happened, whatever still goes wrong."""
        kept = {one.id: one for one in store.recent(limit=1_000)}
        for identity, at in self.created_at.items():
            if identity not in kept and not self._was_lost(at):
                self.violate(f"{identity} was lost")
        self._check_audit(store)
        return self.violations

    def check_ends(self, store: ReleaseStore, context: Context) -> None:
        """After all is calm: everything ended, and was told."""
        for release in store.active():
            waits = release.progress.waits_for or release.queued_behind
            self.violate(f"no end: {told(release)} {waits!r}")
        for release in store.recent(limit=1_000):
            if release.phase.is_final:
                self._check_told(store, context, release)
        for namespace in self.namespaces.values():
            for name, item in namespace.model.deployments.items():
                claim = item.annotations.get(CLAIM_ANNOTATION, "")
                if claim and claim not in self.forced | self.forgotten:
                    self.violate(f"{name} is claimed by {claim} at the end")
            for name, service in namespace.model.services.items():
                claim = service.annotations.get(CLAIM_ANNOTATION, "")
                if claim and claim not in self.forced | self.forgotten:
                    self.violate(f"Service {name} of {claim} is left at the end")

    def _check_told(self, store: ReleaseStore, context: Context, release: Release) -> None:
        channel, ts = store.card(release.id)
        shown = self.slack.messages.get((channel, ts))
        self.hearing.check_end(release, shown)
        if shown is None:
            return
        wanted = context.render.card(release, now=store.now())
        if shown.message.text != wanted.text:
            self.violate(
                f"the card of {release.id} says {shown.message.text!r}, and not {wanted.text!r}"
            )
        announced, dirty = store.outbox(release.id)
        if announced or dirty:
            self.violate(f"{release.id} has {len(announced)} announcements that nobody was told")

    def _check_chain(self, store: ReleaseStore) -> None:
        """No entry is missing, and Slack's messages witness what is there."""
        if not isinstance(store, RedisReleaseStore):
            return
        texts = (one.message.text for one in self.slack.messages.values())
        witness = [head for text in texts for head in heads_in(text)]
        for found in audit_findings(store, witness):
            self.violate(found)

    def _check_audit(self, store: ReleaseStore) -> None:
        if self.losses:
            return
        self._check_chain(store)
        lines = store.audit(limit=100_000)
        found = Counter((line.release_id, line.kind) for line in lines)
        for (identity, kind), number in self.hearing.counted.items():
            if kind in AUDITED and found[identity, kind] < number:
                self.violate(f"{kind} of {identity} is in the audit {found[identity, kind]} times")
        froze = sum(line.kind in ("froze", "unfroze") for line in lines)
        if froze != self.changed_freezes:
            self.violate(f"{self.changed_freezes} changes of freezes, {froze} in the audit")
        for identity in self.created_at:
            if found[identity, EventKind.CREATED.value] != 1:
                self.violate(f"the start of {identity} is not in the audit once")
        audited = {
            (line.app, line.text.split(":")[0].removeprefix("apply "))
            for line in lines
            if line.kind == EventKind.WROTE.value
        }
        for namespace, what in self.written:
            if (namespace, what) not in audited:
                self.violate(f"{what} in {namespace} is not in the audit")
                return
