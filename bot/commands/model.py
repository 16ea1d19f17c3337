"""What a typed line means: one of a closed union of commands, or a mistake."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from bot.releases.facts.target import Strategy

RolloutVerb: TypeAlias = Literal[
    "status", "history", "pause", "resume", "undo", "restart", "promote", "abort"
]
ObjectKind: TypeAlias = Literal["deployments", "replicasets", "pods", "services", "events"]


FormField: TypeAlias = Literal["app", "version", "strategy", "steps"]
"""A field of the `/deploy` form that a refusal can be about."""


@dataclass(frozen=True)
class DeployCommand:
    """Without ``app`` or ``version``: open the modal. ``strategy`` None: the app's own.
    ``clusters``: several that are meant, where ``cluster`` names none."""

    app: str | None = None
    version: str | None = None
    strategy: Strategy | None = None
    cluster: str | None = None
    steps: tuple[int, ...] | None = None
    hold_ms: int | None = None
    sticky: bool = False
    dry_run: bool = False
    reason: str = ""
    clusters: tuple[str, ...] = ()
    kind: Literal["deploy"] = "deploy"


@dataclass(frozen=True)
class ScaleCommand:
    app: str
    replicas: int
    reason: str = ""
    cluster: str | None = None
    kind: Literal["scale"] = "scale"


@dataclass(frozen=True)
class RolloutCommand:
    """``app`` None, only with status and history: the channel's apps. ``clusters`` as of a
    deploy."""

    verb: RolloutVerb
    app: str | None
    to_revision: int | None = None
    force: bool = False
    reason: str = ""
    cluster: str | None = None
    clusters: tuple[str, ...] = ()
    kind: Literal["rollout"] = "rollout"


@dataclass(frozen=True)
class PodsCommand:
    app: str | None = None
    cluster: str | None = None
    kind: Literal["pods"] = "pods"


@dataclass(frozen=True)
class GetCommand:
    objects: ObjectKind
    app: str | None = None
    wide: bool = False
    cluster: str | None = None
    kind: Literal["get"] = "get"


@dataclass(frozen=True)
class ExplainCommand:
    path: str
    recursive: bool = False
    cluster: str | None = None
    kind: Literal["explain"] = "explain"


@dataclass(frozen=True)
class ApplyCommand:
    app: str
    cluster: str | None = None
    kind: Literal["apply"] = "apply"


@dataclass(frozen=True)
class TrafficCommand:
    app: str | None = None
    cluster: str | None = None
    kind: Literal["traffic"] = "traffic"


@dataclass(frozen=True)
class ReleasesCommand:
    app: str | None = None
    cluster: str | None = None
    kind: Literal["releases"] = "releases"


@dataclass(frozen=True)
class ReleaseCommand:
    """One release: by its ``id``, by the address of its ``card`` (``channel/ts``), or the last one
    of ``app``. ``compare``: what it changed in the cluster instead of its story."""

    id: str = ""
    app: str | None = None
    card: str = ""
    compare: bool = False
    cluster: str | None = None
    kind: Literal["release"] = "release"


@dataclass(frozen=True)
class AppsCommand:
    cluster: str | None = None
    kind: Literal["apps"] = "apps"


@dataclass(frozen=True)
class WhoamiCommand:
    kind: Literal["whoami"] = "whoami"


@dataclass(frozen=True)
class HelpCommand:
    command: str | None = None
    kind: Literal["help"] = "help"


@dataclass(frozen=True)
class FreezeCommand:
    """``scope``: an app, ``cluster:NAME`` or ``all``. ``for_ms`` counts from now,
    ``until_ms`` is Unix milliseconds."""

    scope: str
    reason: str
    for_ms: int | None = None
    until_ms: int | None = None
    running: Literal["continue", "hold"] = "continue"
    kind: Literal["freeze"] = "freeze"


@dataclass(frozen=True)
class UnfreezeCommand:
    scope: str
    kind: Literal["unfreeze"] = "unfreeze"


@dataclass(frozen=True)
class ClearCommand:
    """``version`` "": all versions of the app that failed."""

    app: str
    version: str
    reason: str
    cluster: str | None = None
    kind: Literal["clear"] = "clear"


InCluster: TypeAlias = (
    DeployCommand
    | ScaleCommand
    | RolloutCommand
    | PodsCommand
    | GetCommand
    | ExplainCommand
    | ApplyCommand
    | TrafficCommand
    | ReleasesCommand
    | ReleaseCommand
    | AppsCommand
    | ClearCommand
)
"""The commands that take ``in=``."""

Command: TypeAlias = InCluster | WhoamiCommand | HelpCommand | FreezeCommand | UnfreezeCommand


@dataclass(frozen=True)
class Suggestion:
    """A valid command in place of a mistaken one, as a button.

    ``how``: "run" starts it at once, "confirm" asks first, "form" opens the `/deploy` form filled
    in. ``effect``: what the question before it says, such as ``hello 2.0.0 → 1.0.0``. ``label``: of
    the button, "" for the command itself.
    """

    text: str
    how: Literal["run", "confirm", "form"] = "run"
    effect: str = ""
    label: str = ""


@dataclass(frozen=True)
class Mistake:
    """One line for the person who typed. ``hint``: a valid form to type instead, as typed in this
    workspace.

    ``fix``: the wrong word ("" for a missing one) and the words that may replace it ("" removes
    it). ``instead``: the valid commands that follow from it, offered as buttons. ``field``: where
    the `/deploy` form shows the line. ``loses_a_word``: the fix drops a word that may have asked
    for caution.
    """

    line: str
    hint: str = ""
    fix: tuple[str, tuple[str, ...]] | None = None
    instead: tuple[Suggestion, ...] = ()
    field: FormField = "version"
    loses_a_word: bool = False
