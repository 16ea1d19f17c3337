"""Freezes of an app, a cluster or everything: which changes continue despite one, and for whom?"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Literal

from bot.policy.permissions import Permission, Role, may
from bot.policy.reasons import explains
from bot.releases.facts.ages import moment
from bot.releases.facts.changes import Change, Undo
from bot.releases.facts.people import Person
from config.freeze_windows import Occurrence, Window

THE_CATALOG = Person("", "", "the catalog")


@dataclass(frozen=True)
class Freeze:
    """``until`` None: until someone lifts it. Times are integer milliseconds."""

    scope: str  # an app's name, "cluster:NAME", a label such as "region:eu", or "all"
    reason: str
    by: Person
    at: int
    until: int | None = None
    by_admin: bool = True  # of a freeze from before this was recorded, an admin's is the safe guess
    override: Literal["one", "two"] = "one"  # how many admins it takes
    of_catalog: bool = False  # a window, which no command lifts
    running: Literal["continue", "hold"] = "continue"  # releases that have begun
    clusters: tuple[str, ...] = ()  # those that have the label, now or when it was set

    @property
    def line(self) -> str:
        """ "all is frozen by oncall until 2026-12-31T18:00:00Z: incident"."""
        ends = f" until {self.ends}" if self.until is not None else ""
        return f"{self.scope} is frozen by {self.by.display_name}{ends}: {self.reason}"

    def covers(self, app: str, cluster: str) -> bool:
        return self.scope in ("all", app, f"cluster:{cluster}") or cluster in self.clusters

    @property
    def ends(self) -> str:
        """The moment, "" where nothing but a person ends it."""
        return moment(self.until) if self.until is not None else ""


@dataclass(frozen=True)
class FreezeWindow:
    """A freeze of the catalog, which begins and ends by itself."""

    scope: str
    reason: str
    override: Literal["one", "two"]
    window: Window
    running: Literal["continue", "hold"] = "continue"

    def at(self, now: int) -> Freeze | None:
        found = self.window.at(now)
        return self._freeze(found) if found is not None else None

    def next_within(self, now: int, ahead_ms: int) -> Freeze | None:
        """The first that begins after now, at most ``ahead_ms`` later (a day at most)."""
        found = self.window.next_within(now, ahead_ms)
        return self._freeze(found) if found is not None else None

    def _freeze(self, found: Occurrence) -> Freeze:
        return Freeze(
            self.scope,
            self.reason,
            THE_CATALOG,
            found.begins,
            found.ends,
            override=self.override,
            of_catalog=True,
            running=self.running,
        )


def frozen_by(freezes: Iterable[Freeze], *, app: str, cluster: str, now: int) -> Freeze | None:
    """The one that takes the most to override."""
    in_force = (one for one in freezes if one.until is None or one.until > now)
    covering = [one for one in in_force if one.covers(app, cluster)]
    return next((one for one in covering if one.override == "two"), next(iter(covering), None))


def holding(freezes: Iterable[Freeze], *, app: str, cluster: str, now: int) -> Freeze | None:
    """The one that holds what runs there; of several, the one that ends last."""
    held = [
        one
        for one in freezes
        if one.running == "hold"
        and one.covers(app, cluster)
        and (one.until is None or one.until > now)
    ]
    endless = (one for one in held if one.until is None)
    return next(endless, None) or max(held, key=lambda one: one.until or 0, default=None)


def lets_continue(running: str, freeze: Freeze) -> bool:
    """A change that lets what runs continue ends that part of the freeze."""
    return freeze.running == "hold" and running != "hold"


def ends_earlier(until: int | None, freeze: Freeze) -> bool:
    return until is not None and (freeze.until is None or until < freeze.until)


def refusal_to_end(freeze: Freeze, roles: Collection[Role]) -> str:
    """ "" when someone with these roles may lift or shorten the freeze, else one line."""
    if not freeze.by_admin or may(roles, Permission.ADMIN):
        return ""
    return f"An admin froze {freeze.scope}: {freeze.reason}. Only an admin may end that earlier."


def may_override(change: Change, roles: Collection[Role], reason: str) -> bool:
    """An undo is never stopped. Anything else needs an admin who gives a reason."""
    return isinstance(change, Undo) or (may(roles, Permission.ADMIN) and explains(reason))
