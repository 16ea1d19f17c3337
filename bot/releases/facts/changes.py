"""What a release was asked to do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from bot.releases.facts.as_found import Json
from bot.releases.facts.target import Strategy


@dataclass(frozen=True)
class Deploy:
    """Bring the app to a version: a tag, a digest (``sha256:…``) or a full image reference of an
    allowed repository."""

    version: str
    strategy: Strategy = Strategy.ROLLING
    steps: tuple[int, ...] | None = None  # None: the catalog's
    hold_ms: int | None = None
    sticky: bool = False
    kind: Literal["deploy"] = "deploy"


@dataclass(frozen=True)
class Scale:
    replicas: int
    kind: Literal["scale"] = "scale"


@dataclass(frozen=True)
class Restart:
    kind: Literal["restart"] = "restart"


@dataclass(frozen=True)
class Undo:
    to_revision: int | None = None
    template: Json = (
        None  # the template chosen when the release was created; None: chosen at plan time
    )
    kind: Literal["undo"] = "undo"


@dataclass(frozen=True)
class Reapply:
    """The template from a server-side dry run of the app's manifests, which keeps the live image
    and replicas."""

    template: Json
    kind: Literal["apply"] = "apply"


Change: TypeAlias = Deploy | Scale | Restart | Undo | Reapply
