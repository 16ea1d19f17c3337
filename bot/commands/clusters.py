"""Which cluster a command means: the one that it names with ``in=``, or the app's only one. None is
guessed."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import TypeGuard

from bot.commands.model import (
    AppsCommand,
    Command,
    DeployCommand,
    ExplainCommand,
    GetCommand,
    InCluster,
    Mistake,
    PodsCommand,
    ReleaseCommand,
    ReleasesCommand,
    RolloutCommand,
    TrafficCommand,
)
from bot.commands.table import KnownNames
from config.nearest import listed, nearest

IN = "in"
"""The option that names a cluster."""


def in_cluster(command: Command, named: str | None, known: KnownNames) -> Command | Mistake:
    """The command with its cluster. ``named``: the value of ``in=``, None without it."""
    if not isinstance(command, InCluster):
        return command
    app = None if isinstance(command, ExplainCommand | AppsCommand) else command.app
    if app is not None and (several := _several(command, app, named, known)) is not None:
        return several
    if named is not None:
        problem = _unfit(command, app, named, known)
        return problem or replace(command, cluster=named)
    clusters = _meant(command, app, known)
    if len(clusters) <= 1:
        return command
    if known.at in clusters and app in known.here:
        return replace(command, cluster=known.at)
    if _shows_each(command):
        return command
    return which_one(app, clusters)


def which_one(app: str | None, clusters: tuple[str, ...]) -> Mistake:
    """Nothing is guessed: one of them must be named."""
    forms = [f"in={one}" for one in clusters]
    which = f"{app} is in" if app is not None else "The apps of this channel are in"
    return Mistake(
        f"{which} {listed(clusters, 'and')}. Which one? Add {listed(_quoted(forms))}.",
        fix=(f"{IN}=", tuple(forms)),
    )


def _shows_each(command: InCluster) -> bool:
    """What only reads shows all clusters of an app side by side."""
    if isinstance(command, RolloutCommand):
        return command.verb in ("status", "history") and command.to_revision is None
    return isinstance(command, PodsCommand | GetCommand | TrafficCommand)


def _several(
    command: InCluster, app: str, named: str | None, known: KnownNames
) -> Command | Mistake | None:
    """A fleet: all clusters of the app, or those that ``in=`` names. None where it is one
    cluster."""
    clusters = known.clusters_of.get(app, ())
    if not _is_for_fleet(command) or len(clusters) < 2:
        return None
    if named is None:
        stands_in_one = known.at in clusters and app in known.here
        return None if stands_in_one else replace(command, clusters=clusters)
    if "," not in named and ":" not in named:
        return None
    chosen: list[str] = []
    for word in filter(None, (one.strip() for one in named.split(","))):
        found = _named_by(word, clusters, known)
        if not found:
            return _no_such_part(app, word, clusters, known)
        chosen += found
    meant = tuple(one for one in clusters if one in chosen)
    if len(meant) == 1:
        return replace(command, cluster=meant[0])
    return replace(command, clusters=meant) if meant else None


def _is_for_fleet(command: InCluster) -> TypeGuard[DeployCommand | RolloutCommand]:
    if isinstance(command, DeployCommand):
        return command.version is not None
    if not isinstance(command, RolloutCommand) or command.to_revision is not None:
        return False
    return command.verb not in ("status", "history", "restart")


def _named_by(word: str, clusters: tuple[str, ...], known: KnownNames) -> tuple[str, ...]:
    """A cluster's name, or a label such as ``region:eu``."""
    key, is_label, value = word.partition(":")
    if not is_label:
        return (word,) if word in clusters else ()
    return tuple(one for one in clusters if known.labels.get(one, {}).get(key) == value)


def _no_such_part(app: str, word: str, clusters: tuple[str, ...], known: KnownNames) -> Mistake:
    labels = (f"{k}:{v}" for one in clusters for k, v in known.labels.get(one, {}).items())
    choices = tuple(dict.fromkeys((*clusters, *labels)))
    close = nearest(word, choices)
    if close:
        line = f"{app} is not in `{word}`. Did you mean `in={close}`?"
        return Mistake(line, fix=(f"{IN}=", (f"in={close}",)))
    return Mistake(f"{app} is not in `{word}`. Choose {listed(_quoted(choices))}.")


def _meant(command: InCluster, app: str | None, known: KnownNames) -> tuple[str, ...]:
    """The clusters that it may mean; none where it lists what there is."""
    if isinstance(command, ReleasesCommand | AppsCommand):
        return ()
    if isinstance(command, DeployCommand) and command.version is None:
        return ()  # its form asks
    if isinstance(command, ExplainCommand):
        apps = known.here or known.clusters_of
        found = dict.fromkeys(c for one in apps for c in known.clusters_of.get(one, ()))
        return tuple(found)
    return known.clusters_of.get(app, ()) if app is not None else ()


def _unfit(command: InCluster, app: str | None, named: str, known: KnownNames) -> Mistake | None:
    if isinstance(command, ReleaseCommand) and app is None:
        return Mistake("A release stands on one cluster. Name it without `in=`.")
    fitting = known.clusters_of.get(app) if app is not None else None
    if named in (fitting if fitting is not None else known.clusters):
        return None
    if fitting is None or named not in known.clusters:
        choices = tuple(fitting or known.clusters)
        return _no_such(named, choices)
    only = f"{app} is in {listed(fitting, 'and')}, not in {named}."
    forms = tuple(f"in={one}" for one in fitting)
    return Mistake(f"{only} Write {listed(_quoted(forms))}.", fix=(f"{IN}=", forms))


def _no_such(named: str, choices: tuple[str, ...]) -> Mistake:
    if "," in named:
        forms = tuple(f"in={one}" for one in choices)
        return Mistake(f"`in=` takes one cluster. Write {listed(_quoted(forms))}.")
    close = nearest(named, choices)
    if close:
        right = f"in={close}"
        return Mistake(f"No cluster `{named}`. Did you mean `{right}`?", fix=(f"{IN}=", (right,)))
    return Mistake(f"No cluster `{named}`. Choose {listed(choices)}.")


def _quoted(forms: Collection[str]) -> list[str]:
    return [f"`{form}`" for form in forms]
