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
class ShownObject:
    """An object of manifests as a person saw and confirmed it. ``digest``: keyed, of the lines that
    change, the manifest and a Secret's values."""

    kind: str
    namespace: str  # "" for an object of the whole cluster
    name: str
    does: Literal["create", "update", "unchanged", "conflict"]
    digest: str

    @property
    def title(self) -> str:
        place = f"{self.namespace}/{self.name}" if self.namespace else self.name
        return f"{self.kind} {place}"

    @property
    def done(self) -> str:
        return f"{self.kind} {self.name} {self.does}d"


@dataclass(frozen=True)
class Reapply:
    """The app's manifests. The live image and replicas stay.

    ``template``: from a server-side dry run, made when the release has its turn; None where the
    manifests leave the app's template alone. ``shown``: what was confirmed; () for a record of
    before 2026-11-30, which is about the template alone.
    """

    template: Json
    shown: tuple[ShownObject, ...] = ()
    objects: Literal["", "confirmed", "writing", "written"] = ""  # "": nothing is left to write
    writing_since: int = 0
    applied: tuple[str, ...] = ()  # titles of ``shown`` that are in effect
    kind: Literal["apply"] = "apply"

    @property
    def account(self) -> str:
        """What was done, and what was not."""
        changed = [one for one in self.shown if one.does != "unchanged"]
        done = [one.done for one in changed if one.title in self.applied]
        left = [one.title for one in changed if one.title not in self.applied]
        missing = f"; not applied: {', '.join(left)}" if left else ""
        return f"{'; '.join(done) or 'no object changed'}{missing}"


Change: TypeAlias = Deploy | Scale | Restart | Undo | Reapply
