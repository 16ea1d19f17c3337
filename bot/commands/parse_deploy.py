"""The parser of `deploy`, the command with the most forms."""

from __future__ import annotations

import re

from bot.commands.model import Command, DeployCommand, Mistake
from bot.commands.reading import Line, app_named, mistake_about_app, no_more
from bot.releases.facts.target import Strategy
from config.durations import parse_duration
from config.nearest import listed, nearest

_STRATEGIES: dict[str, Strategy] = {
    **{strategy.value: strategy for strategy in Strategy},
    "blue/green": Strategy.BLUEGREEN,
    "blue-green": Strategy.BLUEGREEN,
    "blue_green": Strategy.BLUEGREEN,
    "bg": Strategy.BLUEGREEN,
    "roll": Strategy.ROLLING,
    "rollingupdate": Strategy.ROLLING,
}
_VERSIONISH = re.compile(r"v?\d[\w.+-]*|sha256:[0-9a-f]+|.*[/:@].*", re.IGNORECASE)
_FILLERS = ("to", "at", "version", "tag")  # `/deploy hello to 2.0.0`
_TAG = re.compile(r"\w[\w.-]{0,127}", re.ASCII)


def parse_deploy(line: Line) -> Command | Mistake:
    words, options = list(line.words.positional), line.words.options
    app, version = _app_and_version(line, words)
    if isinstance(app, Mistake):
        return app
    if app is None and version is None and not options and not words:
        return DeployCommand()
    if version in _FILLERS and words and _VERSIONISH.fullmatch(words[0]):
        return Mistake(
            f"`{version}` is no version. Did you mean version `{words[0]}`?",
            line.names.usage("deploy"),
            (version, ("",)),
        )
    strategy = _strategy(line, words)
    if isinstance(strategy, Mistake):
        return strategy
    steps = _steps(options.get("steps"))
    hold = _hold(line, app)
    mistake = (
        no_more(line, words)
        or _unfit_version(line, app, version)
        or (steps if isinstance(steps, Mistake) else None)
        or (hold if isinstance(hold, Mistake) else None)
        or _canary_only(line, strategy)
    )
    if mistake or isinstance(steps, Mistake) or isinstance(hold, Mistake):
        assert mistake is not None
        return mistake
    return DeployCommand(
        app,
        version,
        strategy,
        None,
        steps,
        hold,
        "sticky" in options,
        "dry-run" in options,
        options.get("reason", ""),
    )


def _unfit_version(line: Line, app: str | None, version: str | None) -> Mistake | None:
    is_image = version is not None and ("/" in version or ":" in version)
    if version is None or is_image or _TAG.fullmatch(version):
        return None
    return Mistake(
        f"`{version}` is not a version. Write a tag such as 2.0.0, a digest, or a full image.",
        _example(line, app),
    )


def _hold(line: Line, app: str | None) -> int | Mistake | None:
    """Milliseconds."""
    if "hold" not in line.words.options:
        return None
    try:
        return parse_duration(line.words.options["hold"])
    except ValueError as error:
        return Mistake(str(error), f"{_example(line, app)} canary hold=2m")


def _example(line: Line, app: str | None) -> str:
    return line.names.example("deploy", app or next(iter(line.here or tuple(line.apps)), "APP"))


def _app_and_version(line: Line, words: list[str]) -> tuple[str | Mistake | None, str | None]:
    """Takes both from the words: ``hello 2.0.0``, ``hello:2.0.0``, ``deployment/hello 2.0.0``, or
    ``2.0.0`` where only one app can be meant."""
    if not words:
        return line.only_app, None
    first = words[0]
    app = app_named(line, first)
    if app is not None:
        words.pop(0)
        return app, _version(words)
    name, separator, version = first.partition("@" if "@" in first.partition("/")[0] else ":")
    app = app_named(line, name) if separator else None
    if app is not None and version:
        words.pop(0)
        return app, version
    if separator and "/" not in first and first.lower().partition(":")[0] != "sha256":
        return mistake_about_app(line, name), None
    if _is_strategy(first) or (
        _VERSIONISH.fullmatch(first) and not (words[1:] and not _is_strategy(words[1]))
    ):
        if line.only_app is not None:
            return line.only_app, _version(words)
        choices = [f"`{name}`" for name in list(line.here or line.apps)[:8]]
        which = f"Which app? {listed(choices)}" if choices else "Which app?"
        form = (
            f"{line.names.typed('deploy')} {next(iter(line.here or line.apps), 'APP')}"
            f" {' '.join(words)}"
        )
        return Mistake(which, form, ("", tuple(line.here or line.apps)[:8])), None
    return mistake_about_app(line, first), None


def _version(words: list[str]) -> str | None:
    return words.pop(0) if words and not _is_strategy(words[0]) else None


def _is_strategy(word: str) -> bool:
    return word.lower() in _STRATEGIES


def _strategy(line: Line, words: list[str]) -> Strategy | Mistake | None:
    named = line.words.options.get("strategy")
    if named is None and words:
        named = words.pop(0)
    if named is None:
        return None
    strategy = _STRATEGIES.get(named.lower())
    if strategy is None:
        close = nearest(named, _STRATEGIES)
        if close:
            right = _STRATEGIES[close].value
            return Mistake(
                f"No strategy `{named}`. Did you mean `{right}`?",
                line.names.usage("deploy"),
                (named, (right,)),
            )
        if "reason" in line.words.options:
            words.insert(0, named)
            return no_more(line, words)
        choices = listed([s.value for s in Strategy])
        return Mistake(
            f"No strategy `{named}`. Choose {choices}.",
            line.names.usage("deploy"),
            (named, ("",)),
            loses_a_word=True,
        )
    return strategy


def _steps(text: str | None) -> tuple[int, ...] | Mistake | None:
    if text is None:
        return None
    parts = [part.strip().removesuffix("%") for part in re.split(r"[,;]", text) if part.strip()]
    if not parts or not all(part.isascii() and part.isdigit() for part in parts):
        return Mistake(f"`steps={text}` is not a list of shares. Write steps=20,50.", field="steps")
    shares = tuple(int(part) for part in parts)
    if any(not 1 <= share <= 100 for share in shares):
        return Mistake(
            "Each step is a percentage of traffic from 1 to 100. Write steps=20,50.", field="steps"
        )
    if list(shares) != sorted(set(shares)):
        rising = ",".join(str(share) for share in sorted(set(shares)))
        return Mistake(f"Steps must rise. Write steps={rising}.", field="steps")
    return shares[:-1] if shares[-1] == 100 and len(shares) > 1 else shares


def _canary_only(line: Line, strategy: Strategy | None) -> Mistake | None:
    if strategy in (None, Strategy.CANARY):
        return None
    for name in ("steps", "hold", "sticky"):
        if name in line.words.options:
            return Mistake(
                f"`{name}` is for canary, not for {strategy}.", line.names.usage("deploy")
            )
    return None
