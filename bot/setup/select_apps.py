"""Which of the Deployments found become apps of the catalog, what is left out, and why. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from bot.cluster.inventory import Found, Inventory
from bot.releases.facts.counts import counted
from bot.releases.facts.observation import DeploymentSeen, ServiceSeen
from bot.releases.facts.target import CANDIDATE_SUFFIX, Strategy
from bot.releases.planning.refusals import managed_elsewhere
from config.nearest import listed

CLUSTERS_OWN = ("kube-node-lease", "kube-public", "kube-system")
MOST_OF_A_NAME = 50
_DEFAULT_CONTAINER = "kubectl.kubernetes.io/default-container"
_NAME = "app.kubernetes.io/name"

Place = tuple[str, str]
"""Namespace and name of an object."""


@dataclass(frozen=True)
class Choice:
    """An app as it will be in the catalog. ``container`` None: the Deployment has only one.
    ``services`` None: nobody looked which there are. ``remarks``: what to know before the first
    release of it."""

    name: str
    place: Place
    image: str = ""
    container: str | None = None
    services: tuple[str, ...] | None = None
    remarks: tuple[str, ...] = ()
    is_managed_elsewhere: bool = False

    def __str__(self) -> str:
        return "/".join(self.place)


@dataclass(frozen=True)
class LeftOut:
    """``undecided``: an app that lacks nothing but the name of its container, ``containers``."""

    what: str
    why: str
    undecided: Choice | None = None
    containers: tuple[str, ...] = ()


@dataclass(frozen=True)
class Selection:
    apps: tuple[Choice, ...]
    left_out: tuple[LeftOut, ...] = ()


@dataclass(frozen=True)
class Wishes:
    """What a person named: ``namespaces`` and ``deployments`` (none: all that are found), and the
    container of a Deployment that has several."""

    namespaces: tuple[str, ...] = ()
    deployments: tuple[Place, ...] = ()
    containers: Mapping[Place, str] = field(default_factory=dict)


class NoSuchContainer(Exception):
    """The container that was named for a Deployment is none of its; the message is one line."""


def select_unseen(deployments: Collection[Place]) -> Selection:
    """Of Deployments that a person named and nobody observed."""
    return Selection(_named([Choice(name, (at, name)) for at, name in sorted(set(deployments))]))


def select_apps(found: Inventory, wishes: Wishes) -> Selection:
    """Raises NoSuchContainer."""
    left_out = [*_system_namespaces(found, wishes)]
    places = {one.place for one in found.deployments}
    chosen: list[Choice] = []
    for one in found.deployments:
        if _is_system(one.place[0], wishes) or not _is_wished(one.place, wishes):
            continue
        why = _why_not(one, places)
        if why:
            left_out.append(LeftOut(f"Deployment {'/'.join(one.place)}", why))
            continue
        match _choice(one, found, wishes):
            case Choice() as choice:
                chosen.append(choice)
            case LeftOut() as undecided:
                left_out.append(undecided)
    if not wishes.deployments:
        left_out += _services_left_out(found, chosen, wishes)
    return Selection(_named(chosen), tuple(left_out))


def _is_system(namespace: str, wishes: Wishes) -> bool:
    named = {*wishes.namespaces, *(at for at, _ in wishes.deployments)}
    return namespace in CLUSTERS_OWN and namespace not in named


def _is_wished(place: Place, wishes: Wishes) -> bool:
    return not wishes.deployments or place in wishes.deployments


def _system_namespaces(found: Inventory, wishes: Wishes) -> Iterator[LeftOut]:
    for namespace in CLUSTERS_OWN:
        if not _is_system(namespace, wishes):
            continue
        names = [one.place[1] for one in found.deployments if one.place[0] == namespace]
        if names:
            yield LeftOut(
                f"{counted(len(names), 'Deployment')} of {namespace} ({', '.join(names)})",
                f"the cluster's own; --namespace {namespace} includes them",
            )


def _why_not(one: Found[DeploymentSeen], places: Collection[Place]) -> str:
    """ "" for a Deployment that a release may be about."""
    namespace, name = one.place
    if one.seen.terminating:
        return "is being deleted"
    if one.seen.owner:
        return f"belongs to {one.seen.owner}, which would revert a release"
    if one.seen.labels.get(_NAME) == "pilothouse":
        return "is Pilothouse itself"
    for strategy, suffix in CANDIDATE_SUFFIX.items():
        stable = name.removesuffix(suffix)
        if name.endswith(suffix) and (namespace, stable) in places:
            word = {Strategy.CANARY: "canary", Strategy.BLUEGREEN: "blue/green"}[strategy]
            return f"has the name that a {word} release of {stable} gives to its candidate"
    return ""


def _choice(one: Found[DeploymentSeen], found: Inventory, wishes: Wishes) -> Choice | LeftOut:
    """Raises NoSuchContainer."""
    services = tuple(
        service.place[1]
        for service in found.services
        if service.place[0] == one.place[0] and selects(service.seen, one.seen)
    )
    app = Choice(one.place[1], one.place, services=services)
    images = _images(one.seen)
    container, how = _container(one, tuple(images), wishes.containers)
    if container is None:
        why = (
            f"has {len(images)} containers ({', '.join(images)}): choose the one to release, with"
            f" --container {app}=NAME"
        )
        return LeftOut(f"Deployment {app}", why, app, tuple(images))
    paths = ("spec.template.spec.containers",)
    elsewhere = managed_elsewhere(one.seen, paths)
    return replace(
        app,
        image=images[container],
        container=container if len(images) > 1 else None,
        remarks=tuple(_remarks(one, found, app, how, elsewhere)),
        is_managed_elsewhere=bool(elsewhere),
    )


def _images(seen: DeploymentSeen) -> dict[str, str]:
    containers = (seen.template.get("spec") or {}).get("containers") or ()
    return {str(one.get("name", "")): str(one.get("image", "")) for one in containers}


def _container(
    one: Found[DeploymentSeen], names: Sequence[str], given: Mapping[Place, str]
) -> tuple[str | None, str]:
    """The container to release and, among several, why this one. Raises NoSuchContainer."""
    wanted = given.get(one.place)
    if wanted is not None:
        if wanted not in names:
            raise NoSuchContainer(
                f"{'/'.join(one.place)} has no container `{wanted}`, only {listed(names, 'and')}"
            )
        return wanted, f"you named {wanted}"
    if len(names) == 1:
        return names[0], ""
    notes = (one.seen.template.get("metadata") or {}).get("annotations") or {}
    default = notes.get(_DEFAULT_CONTAINER, "")
    if default in names:
        return default, f"the annotation {_DEFAULT_CONTAINER} names {default}"
    if one.place[1] in names:
        return one.place[1], f"{one.place[1]} has the Deployment's name"
    return None, ""


def _remarks(
    one: Found[DeploymentSeen], found: Inventory, app: Choice, how: str, elsewhere: str
) -> Iterator[str]:
    if how:
        yield f"has the containers {listed(_images(one.seen), 'and')}; {how}"
    if not app.services:
        yield "no Service selects its pods, so there is no traffic to shift: rolling suits it"
    for service in found.services:
        if service.place[0] == one.place[0] and service.place[1] in (app.services or ()):
            also = [name for name in _selected(service, found) if name != one.place[1]]
            if also:
                yield f"Service {service.place[1]} also selects {listed(also, 'and')}"
    if elsewhere:
        yield f"managed by {elsewhere}: releases are refused until you allow them here"
    if one.seen.paused:
        yield "is paused: resume it before the first release"
    if one.seen.replicas == 0:
        yield "has 0 replicas"


def selects(service: ServiceSeen, deployment: DeploymentSeen) -> bool:
    labels = (deployment.template.get("metadata") or {}).get("labels") or {}
    return bool(service.selector) and service.selector.items() <= labels.items()


def _selected(service: Found[ServiceSeen], found: Inventory) -> list[str]:
    return [
        one.place[1]
        for one in found.deployments
        if one.place[0] == service.place[0] and selects(service.seen, one.seen)
    ]


def _services_left_out(
    found: Inventory, chosen: Sequence[Choice], wishes: Wishes
) -> Iterator[LeftOut]:
    taken = {(app.place[0], name) for app in chosen for name in app.services or ()}
    for service in found.services:
        if service.place not in taken and not _is_system(service.place[0], wishes):
            yield _service_left_out(service, found)


def _service_left_out(service: Found[ServiceSeen], found: Inventory) -> LeftOut:
    selected = _selected(service, found)
    if not service.seen.selector:
        why = "has no selector, so it selects no pods"
    elif selected:
        why = f"selects {listed(selected, 'and')}, which is left out"
    else:
        why = "selects the pods of no Deployment here"
    return LeftOut(f"Service {'/'.join(service.place)}", why)


def _named(apps: Sequence[Choice]) -> tuple[Choice, ...]:
    """Each with a name of its own that the catalog accepts."""
    times = Counter(app.place[1] for app in apps)
    taken: set[str] = set()
    result = []
    for app in apps:
        namespace, name = app.place
        wanted = name if times[name] == 1 else f"{namespace}-{name}"
        short = wanted[:MOST_OF_A_NAME].rstrip("-.")
        number = 1
        while short in taken:
            number += 1
            short = f"{wanted[: MOST_OF_A_NAME - 4].rstrip('-.')}-{number}"
        taken.add(short)
        result.append(replace(app, name=re.sub(r"[-.]+$", "", short)))
    return tuple(result)
