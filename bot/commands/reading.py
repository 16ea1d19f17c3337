"""What several commands have in common: the app, a number, a moment, and extra words."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from bot.commands.model import Mistake, ObjectKind
from bot.commands.table import CommandSpec, Names
from bot.commands.words import Words
from config.nearest import listed, nearest

KINDS: dict[str, ObjectKind] = {
    **dict.fromkeys(
        ("deployments", "deployment", "deploy", "deployments.apps", "deployment.apps"),
        "deployments",
    ),
    **dict.fromkeys(
        ("replicasets", "replicaset", "rs", "replicasets.apps", "replicaset.apps"), "replicasets"
    ),
    **dict.fromkeys(("pods", "pod", "po"), "pods"),
    **dict.fromkeys(("services", "service", "svc"), "services"),
    **dict.fromkeys(("events", "event", "ev"), "events"),
}
_NUMBER = re.compile(r"\d{1,9}", re.ASCII)


@dataclass(frozen=True)
class Line:
    """A typed line, split, with the names that it may use."""

    spec: CommandSpec
    words: Words
    apps: Collection[str]
    here: tuple[str, ...]
    clusters: tuple[str, ...]
    names: Names
    labels: tuple[str, ...] = ()  # of the clusters: region:eu

    @property
    def only_app(self) -> str | None:
        """The app meant when none is named: the channel's only app, else the catalog's only app."""
        if len(self.here) == 1:
            return self.here[0]
        return next(iter(self.apps)) if len(self.apps) == 1 else None


def app_named(line: Line, word: str) -> str | None:
    """The app of this name, in any letter case, also as ``deployment/hello``."""
    head, slash, name = word.partition("/")
    if slash and KINDS.get(head.lower()) in ("deployments", "pods", "services", "replicasets"):
        word = name
    if word in line.apps:
        return word
    return next((app for app in line.apps if app.casefold() == word.casefold()), None)


def mistake_about_app(line: Line, word: str) -> Mistake:
    name = word.partition("/")[2] if word.partition("/")[0].lower() in KINDS else word
    if not line.apps:
        return Mistake(f"No app `{name}`. The catalog has no apps yet.", field="app")
    close = nearest(name, line.apps)
    if close:
        return Mistake(
            f"No app `{name}`. Did you mean `{close}`?",
            line.names.example(line.spec.name, close),
            (name, (close,)),
            field="app",
        )
    some = list(line.apps)[:8]
    more = f" and {len(line.apps) - 8} more" if len(line.apps) > 8 else ""
    shown = [f"`{app}`" for app in some]
    choices = f"There are {', '.join(shown)}{more}." if more else f"Choose {listed(shown)}."
    return Mistake(
        f"No app `{name}`. {choices}",
        line.names.typed("apps"),
        (name, tuple(some)),
        field="app",
    )


def one_app(line: Line, positional: list[str]) -> str | Mistake:
    """Takes the app from the words, or the only app that can be meant."""
    if positional:
        app = app_named(line, positional[0])
        if app is not None:
            positional.pop(0)
            return app
        return mistake_about_app(line, positional[0])
    if line.only_app is not None:
        return line.only_app
    choices = list(line.here or line.apps)[:8]
    verb = (
        f" {line.words.positional[0].lower()}"
        if line.spec.name == "rollout" and line.words.positional
        else ""
    )
    form = f"{line.names.typed(line.spec.name)}{verb} {choices[0] if choices else 'APP'}"
    which = f"Which app? {listed([f'`{app}`' for app in choices])}" if choices else "Which app?"
    return Mistake(which, form, ("", tuple(choices)))


def app_or_all(line: Line, positional: list[str]) -> str | Mistake | None:
    """For queries: no app named means the channel's apps."""
    return one_app(line, positional) if positional or line.only_app else None


def no_more(line: Line, positional: list[str]) -> Mistake | None:
    if not positional:
        return None
    extra = " ".join(positional)
    if "reason" in line.words.options and '"' not in extra:
        reason = f"{line.words.options['reason']} {extra}"
        return Mistake(
            f'Put the reason in quotes: reason="{reason}"', line.names.usage(line.spec.name)
        )
    return Mistake(
        (
            f"`{extra}` is one word too many."
            if len(positional) == 1
            else f"`{extra}` are too many words."
        ),
        line.names.usage(line.spec.name),
    )


def whole_number(text: str) -> int | None:
    return int(text) if _NUMBER.fullmatch(text) else None


def moment(text: str) -> int | None:
    """Unix milliseconds of an ISO date and time; without an offset it is UTC."""
    try:
        at = datetime.fromisoformat(text.upper().replace(" ", "T"))
    except ValueError:
        return None
    if at.tzinfo is None:
        at = datetime.fromisoformat(f"{at.isoformat()}+00:00")
    return int(at.timestamp() * 1000)
