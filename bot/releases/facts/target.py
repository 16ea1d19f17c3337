"""What a release is about: the strategy it uses, and the catalog entry as it was when the release
was created."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Strategy(StrEnum):
    ROLLING = "rolling"
    CANARY = "canary"
    BLUEGREEN = "bluegreen"


CANDIDATE_SUFFIX = {Strategy.CANARY: "-canary", Strategy.BLUEGREEN: "-green"}


@dataclass(frozen=True)
class Target:
    """Which objects a release is about: the catalog entry as it was when the release was
    created."""

    app: str
    cluster: str
    namespace: str
    deployment: str
    container: str | None  # None: the only container
    services: tuple[str, ...] = ()
    version_label: str | None = None
    images: tuple[str, ...] = ()  # allowed repositories; empty: the one now running
    # the catalog's Deployment, where an earlier release left the other one of the pair serving
    idle: str = ""
    among_clusters: bool = False  # the catalog has other clusters: titles name this one
    one_of_many: bool = False  # the app has other clusters: commands must name this one
    clusters: tuple[str, ...] = ()  # of a fleet release, whose ``cluster`` is ""

    @property
    def label(self) -> str:
        """The app as titles and lists name it: ``hello``, or ``hello in eu``."""
        return f"{self.app} in {self.cluster}" if self.among_clusters else self.app

    @property
    def typed(self) -> str:
        """The app as a command names it: ``hello``, or ``hello in=eu``."""
        return f"{self.app} in={self.cluster}" if self.one_of_many else self.app


def default_candidate_name(target: Target, strategy: Strategy) -> str:
    """Where a strategy puts its candidate beside the Deployment; "" where it has none."""
    if strategy is Strategy.BLUEGREEN and target.idle:
        return target.idle
    return target.deployment + CANDIDATE_SUFFIX[strategy] if strategy in CANDIDATE_SUFFIX else ""


def default_candidate_names(target: Target) -> tuple[str, ...]:
    """Every name that a candidate of this Deployment may have."""
    return tuple(default_candidate_name(target, strategy) for strategy in CANDIDATE_SUFFIX)
