"""A line split into words and the options of its command."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from rapidfuzz.distance import OSA

from bot.commands.model import Mistake
from bot.commands.normalise import plain_word
from bot.commands.table import CommandSpec
from config.nearest import listed, nearest

_TOKEN = re.compile(r'(?:[^\s"]|"[^"]*")+')
_OPTION = re.compile(r"(--?)?([A-Za-z][A-Za-z-]*)(?:=(.*))?", re.DOTALL)
DRY_RUN = "dry-run"


@dataclass
class Words:
    """``options`` holds what follows ``=`` (flags: "")."""

    positional: list[str] = field(default_factory=list)
    options: dict[str, str] = field(default_factory=dict)


def split(text: str) -> list[str] | Mistake:
    if text.count('"') % 2:
        return Mistake('A quote is not closed. Write reason="…" with a quote at each end.')
    return _TOKEN.findall(text)


def _with_dry_run(tokens: list[str]) -> list[str]:
    """Any spelling of ``dry-run`` is a dry run, for the mistake costs nothing: the plan is shown
    and nothing starts."""
    spelled: list[str] = []
    for token in tokens:
        word, equals, value = token.partition("=")
        if spelled and spelled[-1] in ("dry", "--dry", "-dry") and word.lower() == "run":
            spelled[-1] = f"--{DRY_RUN}"
        elif _is_dry_run(word):
            spelled.append(f"--{DRY_RUN}{equals}{value}")
        else:
            spelled.append(token.lower() if word.lower().lstrip("-") == "dry" else token)
    return spelled


def _is_dry_run(word: str) -> bool:
    if re.search(r"[^A-Za-z_.\-]", word):
        return False
    letters = re.sub(r"[^a-z]", "", word.lower())
    return OSA.distance(letters, "dryrun") <= 1


def _unquoted(value: str) -> str:
    value = value.strip()
    if len(value) >= 2 and value[0] == value[-1] and value[0] in "\"'":
        return value[1:-1].strip()
    return value.replace('"', "")


def read_words(tokens: list[str], spec: CommandSpec) -> Words | Mistake:
    """Takes options anywhere: ``key=value``, ``--key=value`` or ``--key value``."""
    words, waiting = Words(), ""
    for token in _with_dry_run(tokens) if DRY_RUN in spec.flags else tokens:
        if waiting:
            words.options[waiting] = _unquoted(token)
            waiting = ""
            continue
        match = _OPTION.fullmatch(token)
        dashes, name, value = match.groups() if match else (None, "", None)
        name = name.lower()
        if match and (dashes or value is not None) and not _is_reference(token, name, dashes):
            problem, waiting = _take_option(words, spec, name, value, dashed=bool(dashes))
            if problem:
                return problem
        elif match and name in spec.flags:
            words.options[name] = ""
        else:
            word = plain_word(token.strip('"'))
            if word:
                words.positional.append(word)
    if waiting:
        return Mistake(f"`--{waiting}` needs a value.")
    return words


def _is_reference(token: str, name: str, dashes: str | None) -> bool:
    """Not an option: an image or a path with an equals sign after its first slash."""
    return dashes is None and ("/" in token.partition("=")[0] or not name)


def _take_option(
    words: Words, spec: CommandSpec, name: str, value: str | None, *, dashed: bool
) -> tuple[Mistake | None, str]:
    known = (*spec.values, *spec.flags)
    if (
        name.startswith("o") and name not in known and "o" in known and value is None and dashed
    ):  # kubectl's -owide
        name, value = "o", name[1:]
    if name in spec.flags:
        if value is not None and name != "dry-run" and value.lower() not in ("true", "false"):
            return Mistake(f"`{name}` takes no value. Write `{name}` without `={value}`."), ""
        if (value or "").lower() not in ("false", "none"):
            words.options[name] = ""
        return None, ""
    if name in spec.values:
        if name in words.options:
            return Mistake(f"`{name}` is given twice."), ""
        if value is None:
            return None, name
        words.options[name] = _unquoted(value)
        return None, ""
    return unknown_option(name, spec), ""


def unknown_option(name: str, spec: CommandSpec) -> Mistake:
    known = [*spec.values, *spec.flags]
    if not known:
        return Mistake(f"{spec.name} takes no options. Remove `{name}`.")
    close = nearest(name, known)
    forms = [f"{word}=…" if word in spec.values else word for word in known]
    hint = (
        f"Did you mean `{close}{'=…' if close in spec.values else ''}`?"
        if close
        else f"Options of {spec.name}: {listed(forms, 'and')}."
    )
    return Mistake(f"No option `{name}`. {hint}")
