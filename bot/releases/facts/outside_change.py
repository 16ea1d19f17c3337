"""A change that nobody asked Pilothouse for."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class LastSeen:
    """The state that the next change of an object is told from. ``order``: rises with every change
    of an object of that name; ``spec``: JSON of what a change is told of, "" deleted; ``listed``:
    read from the cluster as a watcher started, so nothing is later, not even what was seen before
    the cluster was restored."""

    uid: str
    order: int
    spec: str
    listed: bool = field(default=False, compare=False)

    def is_told_by(self, other: LastSeen) -> bool:
        """Whether ``other`` was the state when somebody told of this one, or is a later one."""
        return self.is_before(other) or (other.uid, other.spec) == (self.uid, self.spec)

    def is_before(self, other: LastSeen) -> bool:
        return not self.listed and other.order > self.order


@dataclass(frozen=True)
class OutsideChange:
    """A Deployment or a Service that someone changed outside Pilothouse. ``changed``: created,
    deleted, template, replicas, paused, strategy, selector. ``missed``: it happened while nobody
    watched, and is told from the difference."""

    changed: tuple[str, ...]
    manager: (
        str  # field manager, "" unknown: kubectl-set, kubectl-rollout, "kubectl, subresource scale"
    )
    claim: str = ""  # the release that holds the object, "" none
    images_before: tuple[str, ...] = ()
    images_after: tuple[str, ...] = ()
    replicas_before: int = 0
    replicas_after: int = 0
    selector_before: tuple[str, ...] = ()  # app=hello
    selector_after: tuple[str, ...] = ()
    generation: int = 0  # of the Deployment after the change, 0 deleted
    order: int = 0
    missed: bool = False
    labels: tuple[tuple[str, str], ...] = ()  # of the object; none where it went unwatched
