"""Releases walked through a modelled cluster in which others have their hands too: an autoscaler,
an admission webhook, a second writer, people who delete; and where replies get lost.

Checked at every write of ours: it leaves no fewer ready endpoints than were promised. While it
waits: what for. At the end: everything as found, or as planned, but for what others changed.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from bot.releases.engine.decide import decide
from bot.releases.engine.gates import open_gate
from bot.releases.engine.old_answers import OLD_FOR_MS
from bot.releases.engine.respond import respond
from bot.releases.facts.actions import (
    Action,
    CreateDeployment,
    DeleteDeployment,
    FieldChange,
    PatchDeployment,
    PatchService,
)
from bot.releases.facts.intent import Field
from bot.releases.facts.observation import CLAIM_ANNOTATION, Unreachable
from bot.releases.facts.release import WAITING_PHASES, Phase
from bot.releases.facts.requests import Abort, Adopt, Approve, Finish, Pause, Request, Resume
from tests.builders import DEVELOPER, MANAGER, MINUTE, REPOSITORY, SECOND
from tests.transitions.bluegreen.modelled_cluster import Deployment, Refused, candidate_of
from tests.transitions.bluegreen.walk import Walk, keeps_promises

TROUBLE_FOR, CALM_FOR = 8, 150
NAMED_WITHIN = OLD_FOR_MS // SECOND + 3
"""Ticks of a second without any change until a wait must have a name. That others deleted what had
just appeared is not believed before: the answer may be an old one."""
LATE_BY_MS = 3 * SECOND
DIGEST = "@sha256:0123"


def pin(template: Any) -> Any:
    """As a webhook that writes digests in place of tags."""
    first, *others = template["spec"]["containers"]
    image = first["image"]
    pinned = {**first, "image": image if DIGEST in image else image + DIGEST}
    return {**template, "spec": {**template["spec"], "containers": [pinned, *others]}}


class HandsInTheCluster:
    """One walk from some moment of a release to its end."""

    def __init__(self, walk: Walk, chance: random.Random) -> None:
        self.walk, self.chance, self.cluster = walk, chance, walk.cluster
        self.log: list[str] = []
        self.changed: set[tuple[str, str]] = set()  # (object, field) that others wrote
        self.late: list[tuple[int, int, Action]] = []  # when, after how much trouble, what
        self.troubles = 0
        self.is_calm = False
        self.still = 0
        walk.cluster.faulty = True
        if walk.cluster.survey.autoscalers:
            self.changed.add(("hello", "replicas"))  # the autoscaler's field, however it is raised

    # --- to the end -------------------------------------------------------------------------------

    def run(self) -> None:
        for _ in range(self.chance.randrange(1, TROUBLE_FOR)):
            self.trouble()
            self.tick()
            if self.walk.release.phase.is_final:
                break
        self.is_calm = True
        if self.ends() or self.ends(Abort(DEVELOPER)):
            self.check_end()
            return
        # what was found cannot come back as others left things: it says so, and people end it
        assert self.walk.release.progress.waits_for, self.story("no end")
        self.ask(Abort(DEVELOPER, force=True))
        assert self.walk.release.phase.is_final, self.story("no end by force")

    def ends(self, request: Request | None = None) -> bool:
        if request is not None:
            self.ask(request)
        for _ in range(CALM_FOR):
            if self.walk.release.phase.is_final:
                return True
            self.calm()
            self.tick()
        return False

    def calm(self) -> None:
        """People see to it: what drifted is kept, what waits is approved."""
        if self.walk.release.phase is Phase.DRIFTED:
            self.ask(Adopt(DEVELOPER))
        self.ask(Resume(DEVELOPER))
        self.approve()

    def tick(self, *, dies: bool = False) -> None:
        walk = self.walk
        self._arrive()
        before = walk.release
        seen = walk.look()
        decision = decide(before, seen, walk.now)
        walk.release = decision.release
        for action in () if dies else decision.actions:
            keeps_promises(walk.release, seen, action)
            if not self.send(action):
                break
        self.cluster.beat()
        walk.now += SECOND
        snapshot = {"card_snapshot": before.card_snapshot}
        if decision.actions or replace(walk.release, **snapshot) != before:  # type: ignore[arg-type]
            self.still = 0
            return
        self.still += 1
        self.check_wait()
        if decision.wake_at is not None and not self.late:
            walk.now = max(walk.now, min(decision.wake_at, walk.now + 2 * MINUTE))

    # --- our writes -------------------------------------------------------------------------------

    def send(self, action: Action) -> bool:
        """False: the worker knows nothing of what became of it, and sends no more."""
        fate = "arrives" if self.is_calm else self.chance.choice(("arrives",) * 8 + FATES)
        if fate == "late":
            self.late.append((self.walk.now + LATE_BY_MS, self.troubles, action))
        elif fate != "lost":
            self.carry_out(action)
        if fate != "arrives":
            self.log.append(f"{fate}: {described(action)}")
        return fate == "arrives"

    def _arrive(self) -> None:
        due = [one for one in self.late if one[0] <= self.walk.now]
        self.late = [one for one in self.late if one[0] > self.walk.now]
        for _, troubles, action in due:
            self.log.append(f"arrives late: {described(action)}")
            # it may meet a release that has moved on: then it is drift, and a person may keep it
            self.changed |= {(action.name, one.field.value) for one in changes_of(action)}
            self.carry_out(action, is_judged=troubles == self.troubles)

    def carry_out(self, action: Action, *, is_judged: bool = True) -> None:
        """Not judged: others took pods away while it was on its way, and nobody calls it back."""
        before = {name: self.cluster.selected(name) for name in self.services()}
        staying = {name: self.left_by(action, name) for name in self.services()}
        try:
            self.cluster.apply(action)
        except Refused:
            return
        self.log.append(described(action))
        self.note_webhook(action)
        for name, pods in before.items() if is_judged else ():
            left = len(self.cluster.selected(name)) if staying[name] is None else staying[name]
            assert left is not None and left >= self.promised(len(pods)), self.story(
                f"{described(action)} leaves {left} of {len(pods)} ready endpoints of {name}"
            )

    def note_webhook(self, action: Action) -> None:
        """What it makes of a template is the cluster's, and a person may keep it."""
        item = self.cluster.deployments.get(action.name)
        if item is not None and DIGEST in str(item.template):
            self.changed.add((action.name, "template"))

    def services(self) -> list[str]:
        return [name for name in self.cluster.app_services if name in self.cluster.services]

    def promised(self, ready: int) -> int:
        """Others may have taken pods away before. On the way back whatever serves is enough."""
        release, hello = self.walk.release, self.cluster.deployments.get("hello")
        if release.plan is None or release.rollback is not None or release.progress.accepts_less:
            return min(ready, 1)
        floor = release.plan.floor
        if hello is None or ("hello", "replicas") in self.changed:
            floor = min(floor, hello.replicas if hello else 0)  # others want fewer
        return min(ready, max(1, floor))

    def left_by(self, action: Action, service: str) -> int | None:
        """Ready pods of the Service that a removal or a smaller number leaves; None: no such
        write."""
        ready = set(self.cluster.selected(service))
        item = self.cluster.deployments.get(action.name)
        if item is None or isinstance(action, PatchService | CreateDeployment):
            return None
        own = sum(pod.name in ready for pod in item.pods())
        if isinstance(action, DeleteDeployment):
            return len(ready) - own
        if isinstance(action, PatchDeployment):
            for change in action.changes:
                if change.field is Field.REPLICAS and change.after < item.replicas:
                    return len(ready) - own + min(own, int(change.after))
        return None

    # --- others -----------------------------------------------------------------------------------

    def trouble(self) -> None:
        hand = self.chance.choice(HANDS)
        self.troubles += 1
        hand(self)

    def change(self, item: Deployment, field: str, value: Any) -> None:
        setattr(item, field, value)
        item.generation += 1
        self.changed.add((item.name, field))
        self.log.append(f"others: {field} of {item.name}")

    def any_deployment(self) -> Deployment:
        return self.chance.choice([*self.cluster.deployments.values()])

    def autoscale(self) -> None:
        scaler = self.cluster.survey.autoscalers
        hello = self.cluster.deployments.get("hello")
        if scaler and hello is not None:
            self.change(hello, "replicas", self.chance.randint(scaler[0].min_replicas, 4))

    def write_template(self) -> None:
        item = self.any_deployment()
        version = self.chance.choice(("1.0.0", "2.0.0", "7.0.0"))
        first, *others = item.template["spec"]["containers"]
        spec = {
            **item.template["spec"],
            "containers": [{**first, "image": f"{REPOSITORY}:{version}"}, *others],
        }
        item.template_manager = "kubectl-set"
        self.change(item, "template", {**item.template, "spec": spec})

    def write_replicas(self) -> None:
        self.change(self.any_deployment(), "replicas", self.chance.randrange(1, 5))

    def write_paused(self) -> None:
        item = self.any_deployment()
        self.change(item, "paused", not item.paused)

    def write_claim(self) -> None:
        """A second installation; or `kubectl annotate` that removes ours."""
        item = self.any_deployment()
        claim = self.chance.choice(("other-7", ""))
        annotations = {k: v for k, v in item.annotations.items() if k != CLAIM_ANNOTATION}
        if claim:
            annotations[CLAIM_ANNOTATION] = claim
        item.annotations = annotations
        item.generation += 1
        self.changed.add((item.name, "claim"))
        self.log.append(f"others: claim {claim or 'removed'} of {item.name}")

    def write_selector(self) -> None:
        name = self.chance.choice(self.cluster.app_services)
        if name in self.cluster.services:
            labels = self.any_deployment().template["metadata"]["labels"]
            self.cluster.select(name, dict(labels))
            self.changed.add((name, "selector"))
            self.log.append(f"others: selector of {name}")

    def delete_candidate(self) -> None:
        name = candidate_of(self.walk.release)
        if self.cluster.deployments.pop(name, None) is not None:
            self.changed.add((name, "exists"))
            self.log.append(f"others: deleted {name}")

    def delete_pods(self) -> None:
        pods = self.any_deployment().pods()
        for pod in self.chance.sample(pods, min(len(pods), self.chance.randrange(1, 3))):
            pod.ready = False
        self.log.append("others: pods not ready")

    def break_new_version(self) -> None:
        plan = self.walk.release.plan
        if plan is not None:
            self.cluster.broken_images |= {plan.image, plan.image + DIGEST}
            self.log.append(f"{plan.image} breaks")

    def crash(self) -> None:
        self.log.append("worker dies")
        if not self.walk.release.phase.is_final:
            self.tick(dies=True)

    def cut_off(self) -> None:
        self.log.append("unreachable")
        walk = self.walk
        walk.release = decide(walk.release, Unreachable(walk.now, "away"), walk.now).release

    def let_time_pass(self) -> None:
        self.walk.now += MINUTE
        self._arrive()

    # --- people -----------------------------------------------------------------------------------

    def ask(self, request: Request) -> None:
        walk = self.walk
        if walk.release.phase.is_final:
            return
        answer = respond(walk.release, request, walk.now)
        if not answer.refusal:
            self.log.append(f"asked {request.kind} in {walk.release.phase.value} {walk.step}")
            walk.release = answer.release

    def approve(self) -> None:
        release = self.walk.release
        gate = None if release.phase.is_final else open_gate(release)
        if gate is not None and release.plan is not None:
            self.ask(Approve(MANAGER, gate.name, release.plan.hash))

    # --- what must hold ---------------------------------------------------------------------------

    def check_wait(self) -> None:
        release = self.walk.release
        if self.still < NAMED_WITHIN or not self.is_calm:
            return
        named = (
            release.phase in WAITING_PHASES
            or release.unreachable is not None
            or release.progress.gate is not None
            or release.progress.waits_for
            or release.progress.trouble is not None
            or release.progress.probe_failure
            or any(not is_whole(item) for item in self.cluster.deployments.values())
        )
        assert named, self.story("waits for nothing that has a name")

    def check_end(self) -> None:
        release, now, before = self.walk.release, self.cluster.state(), self.walk.before
        for name, item in now["deployments"].items():
            assert item["claim"] != release.id, self.story(f"{name} stays claimed")
        if release.phase is Phase.SUCCEEDED:
            return
        for kind, fields in (("deployments", DEPLOYMENT_FIELDS),):
            for name, found in before[kind].items():
                there = now[kind].get(name)
                if there is None or there["uid"] != found["uid"]:
                    assert (name, "exists") in self.changed, self.story(f"{name} is gone")
                    continue
                for field in fields:
                    if not self.is_changed(name, field) and there[field] != found[field]:
                        raise AssertionError(self.story(f"{field} of {name} is not as found"))
        for name, (uid, selector, affinity) in before["services"].items():
            if (name, "selector") not in self.changed:
                assert now["services"].get(name) == (uid, selector, affinity), self.story(
                    f"Service {name} is not as found"
                )
        made = set(now["deployments"]) - set(before["deployments"])
        left = {name for name in made if not self.is_changed(name, "claim")}
        serves = any(field == "selector" for _, field in self.changed)  # it may serve everybody now
        assert not left or serves, self.story(f"{left} is left behind")

    def is_changed(self, name: str, field: str) -> bool:
        """Others wrote it, or took the right to write it. A change cause belongs to its
        template."""
        wrote = {(name, field), (name, "claim")}
        if field == "annotations":
            wrote.add((name, "template"))
        return bool(wrote & self.changed)

    def story(self, what: str) -> str:
        release = self.walk.release
        state = f"{release.phase.value}, step {self.walk.step}, {release.progress.waits_for}"
        return "\n".join((what, state, *self.log[-40:]))


FATES = ("late", "lost", "reply lost")
DEPLOYMENT_FIELDS = ("template", "replicas", "strategy", "paused", "labels", "annotations")
HANDS: tuple[Callable[[HandsInTheCluster], None], ...] = (
    HandsInTheCluster.autoscale,
    HandsInTheCluster.autoscale,
    HandsInTheCluster.write_template,
    HandsInTheCluster.write_replicas,
    HandsInTheCluster.write_paused,
    HandsInTheCluster.write_claim,
    HandsInTheCluster.write_selector,
    HandsInTheCluster.delete_candidate,
    HandsInTheCluster.delete_pods,
    HandsInTheCluster.break_new_version,
    HandsInTheCluster.crash,
    HandsInTheCluster.cut_off,
    HandsInTheCluster.let_time_pass,
    HandsInTheCluster.approve,
    HandsInTheCluster.approve,
    HandsInTheCluster.approve,
    lambda hands: hands.ask(Pause(DEVELOPER)),
    lambda hands: hands.ask(Resume(DEVELOPER)),
    lambda hands: hands.ask(Adopt(DEVELOPER)),
    lambda hands: hands.ask(Finish(MANAGER)),
    lambda hands: hands.ask(Abort(DEVELOPER)),
)


def is_whole(item: Deployment) -> bool:
    current = item.current()
    pods = current.pods if current is not None else []
    return len(pods) == len(item.pods()) == item.replicas and all(pod.ready for pod in pods)


def changes_of(action: Action) -> tuple[FieldChange, ...]:
    return action.changes if isinstance(action, PatchDeployment | PatchService) else ()


def described(action: Action) -> str:
    fields = ", ".join(f"{one.field.value}={str(one.after)[:40]}" for one in changes_of(action))
    return f"{action.kind} {action.name} {fields}"
