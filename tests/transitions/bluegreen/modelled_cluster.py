"""A model of the controllers that matter to a release: Deployments roll within their bounds,
endpoints follow one beat later.

Actions are carried out with the preconditions that Kubernetes would check. Pods become ready one a
beat, oldest first. After every change the model asserts that each of the app's Services selects a
ready pod.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from bot.releases.assess.intents import CAUSE_ANNOTATION, differing, field_path
from bot.releases.assess.selectors import selects
from bot.releases.engine.minimum import raisable_autoscaler
from bot.releases.facts.actions import (
    Action,
    CreateDeployment,
    CreateService,
    DeleteDeployment,
    DeleteService,
    FieldChange,
    PatchAutoscaler,
    PatchDeployment,
    PatchService,
)
from bot.releases.facts.intent import Field
from bot.releases.facts.observation import (
    CLAIM_ANNOTATION,
    AnswerSeen,
    DeploymentSeen,
    EndpointSeen,
    Observation,
    ProbeSeen,
    Survey,
)
from bot.releases.facts.release import Release
from bot.releases.facts.target import Strategy, default_candidate_name
from bot.releases.planning.as_found import foreign_annotations
from bot.releases.planning.capacity import fence_posts
from tests.builders import ROLLING_UPDATE, a_deployment, a_pod, a_replica_set, a_service

OURS = "pilothouse"
CONTAINERS = "spec.template.spec.containers"


class Refused(Exception):
    """A precondition did not hold: the API server would answer 409 or 422."""


@dataclass
class Pod:
    name: str
    ready: bool = False


@dataclass
class ReplicaSet:
    name: str
    template: Any
    revision: int
    pods: list[Pod] = field(default_factory=list)


@dataclass
class Deployment:
    name: str
    uid: str
    template: Any
    replicas: int
    selector: Any
    strategy: Any = field(default_factory=lambda: ROLLING_UPDATE)
    paused: bool = False
    labels: dict[str, str] = field(default_factory=dict)
    annotations: dict[str, str] = field(default_factory=dict)
    generation: int = 1
    observed_generation: int = 1
    sets: list[ReplicaSet] = field(default_factory=list)
    template_manager: str = ""  # who wrote it last, as managedFields would say
    managers: dict[str, str] = field(default_factory=dict)  # by the path that each wrote last
    wrote_at: dict[str, int] = field(default_factory=dict)  # by the manager
    stuck_for: int | None = None  # beats until its finalizer lets it go; None: it is not deleted

    def current(self) -> ReplicaSet | None:
        return next((one for one in self.sets if one.template == self.template), None)

    def pods(self) -> list[Pod]:
        return [pod for one in self.sets for pod in one.pods]

    def fork(self) -> Deployment:
        sets = [replace(one, pods=[replace(pod) for pod in one.pods]) for one in self.sets]
        return replace(
            self,
            labels=dict(self.labels),
            annotations=dict(self.annotations),
            managers=dict(self.managers),
            wrote_at=dict(self.wrote_at),
            sets=sets,
        )

    def written_by(self, manager: str, name: Field, before: Any, after: Any, at: int) -> None:
        """As managedFields would have it: whoever changed a path owns it."""
        for path in differing(before, after, field_path(name)):
            self.managers[path] = manager
        self.wrote_at[manager] = at // 1000 * 1000


class ModelledCluster:
    def __init__(
        self,
        *deployments: Deployment,
        services: dict[str, dict[str, str]],
        survey: Survey | None = None,
    ) -> None:
        self.deployments = {item.name: item for item in deployments}
        self.services = {
            name: a_service(name, selector=selector) for name, selector in services.items()
        }
        self.app_services = tuple(services)
        self.survey = survey or Survey()
        self.autoscalers = {
            one.name: replace(one, uid=f"uid-{one.name}", resource_version="1")
            for one in self.survey.autoscalers
        }
        self.webhook: Callable[[Any], Any] | None = None  # changes templates that are written
        self.broken_images: set[str] = set()
        self.crashes = False  # pods of a broken image end again and again; else it cannot be pulled
        self.sick_images: set[str] = set()  # ready, but what they answer is an error
        self.failing_images: dict[str, int] = {}  # ready, but every so many answers are an error
        self.sampled: Counter[str] = Counter()  # requests by image
        self.is_proxy_away = False
        # set by a test that takes pods away itself: then the cluster may be empty without our doing
        self.faulty = False
        self.left_at = 0  # of a state that was kept: when the next one began
        self.clock: Callable[[], int] | None = None  # None: managedFields say no more than images
        self.finalizers_hold = 0  # beats that a deleted Deployment stays
        self.made = 0
        self.endpoints: dict[str, list[str]] = {}
        for item in deployments:
            self._roll(item)
            for pod in item.pods():
                pod.ready = True
            item.observed_generation = item.generation
        self._follow()

    def fork(self) -> ModelledCluster:
        """Another cluster that stands where this one does. Templates and selectors are shared:
        nobody changes one in place."""
        other = copy.copy(self)
        other.deployments = {name: item.fork() for name, item in self.deployments.items()}
        other.services, other.endpoints = dict(self.services), dict(self.endpoints)
        other.autoscalers = dict(self.autoscalers)
        other.broken_images, other.sick_images = set(self.broken_images), set(self.sick_images)
        other.failing_images = dict(self.failing_images)
        other.is_proxy_away = self.is_proxy_away
        return other

    # --- what the API server does -----------------------------------------------------------------

    def apply(self, action: Action) -> None:
        match action:
            case PatchDeployment():
                self._patch_deployment(action)
            case CreateDeployment():
                self._create_deployment(action)
            case DeleteDeployment():
                self._delete_deployment(action)
            case PatchService():
                self._patch_service(action)
            case CreateService():
                self._create_service(action)
            case DeleteService():
                if (there := self.services.get(action.name)) and there.uid == action.uid:
                    del self.services[action.name]
            case PatchAutoscaler():
                self._patch_autoscaler(action)
        self.check()

    def _create_deployment(self, action: CreateDeployment) -> None:
        there = self.deployments.get(action.name)
        if there is not None:
            if there.annotations.get(CLAIM_ANNOTATION) != action.claim:
                raise Refused(f"{action.name} exists")
            return
        spec, meta = action.body["spec"], action.body["metadata"]
        labels = spec["template"]["metadata"]["labels"]
        assert spec["replicas"] == 0, "objects are created inert"
        assert meta["annotations"][CLAIM_ANNOTATION] == action.claim
        assert spec["selector"]["matchLabels"].items() <= labels.items(), (
            "the API server refuses such a selector"
        )
        self.made += 1
        made = self.deployments[action.name] = Deployment(
            action.name,
            f"uid-{action.name}-{self.made}",
            self._admitted(spec["template"]),
            0,
            spec["selector"],
            spec["strategy"],
            labels=dict(meta["labels"]),
            annotations=dict(meta["annotations"]),
        )
        if self.clock is not None:
            for name in (Field.TEMPLATE, Field.REPLICAS, Field.CLAIM):
                made.written_by(OURS, name, None, self._value(made, name), self.clock())

    def _admitted(self, template: Any) -> Any:
        return copy.deepcopy(template if self.webhook is None else self.webhook(template))

    def _delete_deployment(self, action: DeleteDeployment) -> None:
        item = self.deployments.get(action.name)
        if item is None or item.uid != action.uid:
            return
        if not self.finalizers_hold:
            del self.deployments[action.name]
        elif item.stuck_for is None:
            item.stuck_for = self.finalizers_hold

    def _patch_service(self, action: PatchService) -> None:
        service = self.services[action.name]
        if (service.uid, service.resource_version) != (action.uid, action.resource_version):
            raise Refused("the Service changed")
        present = {Field.SELECTOR: service.selector, Field.AFFINITY: service.affinity}
        for change in action.changes:
            if present[change.field] != change.before:
                raise Refused(f"the {change.field.value} changed")
        for change in action.changes:
            if change.field is Field.SELECTOR:
                self.select(action.name, change.after)
            else:
                self.bind(action.name, change.after)

    def _patch_autoscaler(self, action: PatchAutoscaler) -> None:
        item = self.autoscalers.get(action.name)
        if item is None or (item.uid, item.claim) != (action.uid, action.claim):
            raise Refused(f"{action.name}: uid or claim")
        if action.resource_version not in ("", item.resource_version):
            raise Refused(f"{action.name}: resourceVersion")
        annotations = dict(item.annotations)
        keys = {Field.CLAIM: CLAIM_ANNOTATION, Field.MIN_AS_FOUND: "pilothouse.dev/min-replicas"}
        present = {key: annotations.get(name, "") for key, name in keys.items()}
        present_minimum = item.min_replicas
        for change in action.changes:
            is_minimum = change.field is Field.MIN_REPLICAS
            if (present_minimum if is_minimum else present[change.field]) != change.before:
                raise Refused(f"{action.name}: {change.field.value}")
            if is_minimum:
                item = replace(item, min_replicas=change.after)
                continue
            annotations.pop(keys[change.field], None)
            if change.after:
                annotations[keys[change.field]] = change.after
        version = str(int(item.resource_version) + 1)
        assert item.min_replicas <= item.max_replicas, "the API server refuses such bounds"
        self.autoscalers[action.name] = replace(
            item, annotations=annotations, resource_version=version
        )

    def _create_service(self, action: CreateService) -> None:
        if action.name not in self.services:
            selector = dict(action.body["spec"]["selector"])
            annotations = dict(action.body["metadata"].get("annotations") or {})
            self.services[action.name] = a_service(
                action.name, selector=selector, annotations=annotations
            )

    def _patch_deployment(self, action: PatchDeployment) -> None:
        item = self.deployments.get(action.name)
        if (
            item is None
            or item.uid != action.uid
            or item.annotations.get(CLAIM_ANNOTATION, "") != action.claim
        ):
            raise Refused(f"{action.name}: uid or claim")
        if action.resource_version not in ("", str(item.generation)):
            raise Refused(f"{action.name}: resourceVersion")
        for change in action.changes:
            if self._value(item, change.field) != change.before:
                raise Refused(f"{action.name}: {change.field.value}")
        for change in action.changes:
            before = self._value(item, change.field)
            self._set(item, change)
            if self.clock is not None:
                after = self._value(item, change.field)
                item.written_by(OURS, change.field, before, after, self.clock())
        item.generation += 1
        labels = item.template["metadata"]["labels"]
        assert item.selector["matchLabels"].items() <= labels.items(), (
            "the API server refuses a template its selector misses"
        )

    def _value(self, item: Deployment, name: Field) -> Any:
        return {
            Field.TEMPLATE: item.template,
            Field.REPLICAS: item.replicas,
            Field.PAUSED: item.paused,
            Field.CLAIM: item.annotations.get(CLAIM_ANNOTATION, ""),
            Field.CHANGE_CAUSE: item.annotations.get(CAUSE_ANNOTATION, ""),
        }[name]

    def _set(self, item: Deployment, change: FieldChange) -> None:
        match change.field:
            case Field.TEMPLATE:
                item.template = self._admitted(change.after)
                item.template_manager = OURS
            case Field.REPLICAS:
                item.replicas = change.after
            case Field.PAUSED:
                item.paused = change.after
            case Field.CLAIM | Field.CHANGE_CAUSE:
                key = CLAIM_ANNOTATION if change.field is Field.CLAIM else CAUSE_ANNOTATION
                item.annotations.pop(key, None)
                if change.after:
                    item.annotations[key] = change.after
            case _:
                raise AssertionError(f"nobody writes {change.field.value} of a Deployment")

    def select(self, service: str, selector: dict[str, str]) -> None:
        old = self.services[service]
        self.services[service] = replace(
            old, selector=dict(selector), resource_version=str(int(old.resource_version) + 1)
        )

    def bind(self, service: str, affinity: Any) -> None:
        old = self.services[service]
        self.services[service] = replace(
            old, affinity=affinity, resource_version=str(int(old.resource_version) + 1)
        )

    # --- what the controllers do ------------------------------------------------------------------

    def beat(self) -> None:
        """Endpoints catch up with what was; then every Deployment moves one step."""
        self._follow()
        for item in [*self.deployments.values()]:
            if item.stuck_for is not None:
                self._let_go(item)
                continue
            item.observed_generation = item.generation
            waiting = [
                pod
                for one in item.sets
                if one.template["spec"]["containers"][0]["image"] not in self.broken_images
                for pod in one.pods
                if not pod.ready
            ]
            if waiting:
                waiting[0].ready = True
            self._roll(item)
        self.check()

    def _let_go(self, item: Deployment) -> None:
        """Its pods run until its finalizer is gone: they are removed after it."""
        item.stuck_for = (item.stuck_for or 0) - 1
        if item.stuck_for <= 0:
            del self.deployments[item.name]

    def _roll(self, item: Deployment) -> None:
        current = self._newest_set(item)
        if current is None:
            return
        old = [one for one in item.sets if one is not current and one.pods]
        if old and item.paused:
            return
        surge, unavailable = fence_posts(_bounds(item))
        self._scale(item, current, top=item.replicas + (surge if old else 0))
        for one in old:
            for pod in sorted(one.pods, key=lambda pod: pod.ready):
                available = sum(pod.ready for pod in item.pods())
                if not pod.ready or available - 1 >= item.replicas - unavailable:
                    one.pods.remove(pod)

    def _newest_set(self, item: Deployment) -> ReplicaSet | None:
        """The ReplicaSet of the template, made or moved to the front; None while a pause keeps it
        from being made."""
        current = item.current()
        if current is None:
            if item.paused:
                return None
            revision = max((one.revision for one in item.sets), default=0) + 1
            self.made += 1
            current = ReplicaSet(f"{item.name}-{self.made}", copy.deepcopy(item.template), revision)
            item.sets.insert(0, current)
        elif current is not item.sets[0]:
            current.revision = max(one.revision for one in item.sets) + 1
            item.sets.remove(current)
            item.sets.insert(0, current)
        return current

    def _scale(self, item: Deployment, current: ReplicaSet, *, top: int) -> None:
        """Bring the newest ReplicaSet to the Deployment's size with at most ``top`` pods in all."""
        while len(current.pods) < item.replicas and len(item.pods()) < top:
            self.made += 1
            current.pods.append(Pod(f"{current.name}-{self.made}"))
        while len(current.pods) > item.replicas:
            current.pods.remove(
                next((pod for pod in current.pods if not pod.ready), current.pods[-1])
            )

    def _follow(self) -> None:
        self.endpoints = {name: self.selected(name) for name in self.services}

    def selected(self, service: str) -> list[str]:
        """Names of the ready pods that the Service's selector matches at this moment."""
        return [
            pod.name
            for item in self.deployments.values()
            for one in item.sets
            if selects(self.services[service].selector, one.template["metadata"]["labels"])
            for pod in one.pods
            if pod.ready
        ]

    def check(self) -> None:
        if self.faulty:
            return
        for name in self.app_services:
            assert self.selected(name), (
                f"Service {name} selects nobody who is ready: {self.services[name].selector}"
            )
            alive = {
                pod.name for item in self.deployments.values() for pod in item.pods() if pod.ready
            }
            assert alive & set(self.endpoints.get(name, self.selected(name))), (
                f"no endpoint of {name} is alive"
            )

    # --- what is seen -----------------------------------------------------------------------------

    def observe(self, release: Release, at: int) -> Observation:
        names = [*release.target.services]
        if release.plan and release.plan.preview:
            names.append(release.plan.preview)
        return self.snapshot(
            at,
            release.target.deployment,
            candidate_of(release),
            names,
            surveyed=release.plan is None,
            autoscaler=raisable_autoscaler(release),
        )

    def snapshot(
        self,
        at: int,
        name: str,
        candidate: str,
        services: Sequence[str],
        *,
        surveyed: bool,
        autoscaler: str,
    ) -> Observation:
        return Observation(
            at,
            "uid-cluster",
            self._seen(name),
            self._seen(candidate),
            tuple(self.services[one] for one in services if one in self.services),
            tuple(
                EndpointSeen(service, f"ip-{pod}", pod, f"uid-{pod}", ready=True)
                for service in services
                for pod in self.endpoints.get(service, ())
            ),
            survey=self._survey() if surveyed else None,
            autoscaler=self.autoscalers.get(autoscaler),
        )

    def _survey(self) -> Survey:
        return replace(self.survey, autoscalers=tuple(self.autoscalers.values()))

    def images(self) -> dict[str, str]:
        return {
            pod.name: one.template["spec"]["containers"][0]["image"]
            for item in self.deployments.values()
            for one in item.sets
            for pod in one.pods
        }

    def sample(self, pods: tuple[str, ...]) -> tuple[AnswerSeen, ...]:
        """One answer for each name. ``failing_images``: every so many requests of it fail."""
        images, answers = self.images(), []
        for pod in pods:
            image = images.get(pod, "")
            if self.is_proxy_away or not image:
                answers.append(AnswerSeen(pod, "lost", "error trying to reach service"))
                continue
            self.sampled[image] += 1
            every = 1 if image in self.sick_images else self.failing_images.get(image, 0)
            is_bad = bool(every) and self.sampled[image] % every == 0
            answers.append(
                AnswerSeen(pod, "bad", "it answers 503") if is_bad else AnswerSeen(pod, "good")
            )
        return tuple(answers)

    def ask(self, pods: tuple[str, ...]) -> ProbeSeen:
        images = self.images()
        return ProbeSeen(
            len(pods),
            tuple((pod, "it answers 503") for pod in pods if images[pod] in self.sick_images),
        )

    @property
    def _waiting(self) -> str:
        return "CrashLoopBackOff" if self.crashes else "InvalidImageName"

    def _seen(self, name: str) -> DeploymentSeen | None:
        item = self.deployments.get(name)
        if item is None:
            return None
        sets = []
        for one in item.sets:
            image, labels = (
                one.template["spec"]["containers"][0]["image"],
                one.template["metadata"]["labels"],
            )
            bad = image in self.broken_images
            pods = tuple(
                a_pod(
                    pod.name, image=image, labels=labels, ready=pod.ready,
                    waiting=self._waiting if bad and not pod.ready else "",
                    restarts=5 if bad and self.crashes and not pod.ready else 0,
                )
                for pod in one.pods
            )  # fmt: skip
            sets.append(a_replica_set(one.name, one.template, revision=one.revision, pods=pods))
        return a_deployment(
            name,
            item.template,
            replicas=item.replicas,
            replica_sets=tuple(sets),
            uid=item.uid,
            resource_version=str(item.generation),
            generation=item.generation,
            observed_generation=item.observed_generation,
            paused=item.paused,
            terminating=item.stuck_for is not None,
            selector=item.selector,
            strategy=item.strategy,
            labels=dict(item.labels),
            annotations=dict(item.annotations),
            managers=(
                *(
                    (item.template_manager, "Update", "", f"{CONTAINERS}[name={one['name']}].image")
                    for one in item.template["spec"]["containers"]
                    if item.template_manager
                ),
                *((manager, "Update", "", path) for path, manager in item.managers.items()),
            ),
            written_at=tuple((manager, "", at) for manager, at in item.wrote_at.items()),
        )

    def state(self) -> dict[str, Any]:
        """Everything that "as found" is about; a claim left behind shows."""
        return copy.deepcopy(
            {
                "deployments": {
                    item.name: {
                        "uid": item.uid,
                        "template": item.template,
                        "replicas": item.replicas,
                        "selector": item.selector,
                        "strategy": item.strategy,
                        "paused": item.paused,
                        "labels": item.labels,
                        "annotations": foreign_annotations(item.annotations),
                        "claim": item.annotations.get(CLAIM_ANNOTATION, ""),
                    }
                    for item in self.deployments.values()
                },
                "services": {
                    one.name: (one.uid, one.selector, one.affinity)
                    for one in self.services.values()
                },
                "autoscalers": {
                    one.name: (one.min_replicas, one.annotations)
                    for one in self.autoscalers.values()
                },
            }
        )


def candidate_of(release: Release) -> str:
    return release.candidate_name or default_candidate_name(
        release.target,
        Strategy.CANARY if release.strategy is Strategy.CANARY else Strategy.BLUEGREEN,
    )


def _bounds(item: Deployment) -> DeploymentSeen:
    return a_deployment(
        item.name, item.template, replicas=item.replicas, replica_sets=(), strategy=item.strategy
    )
