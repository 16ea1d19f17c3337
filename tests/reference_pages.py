"""Pages of docs/reference that follow from the code: `python -m tests.reference_pages` writes them, a test compares."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from bot.commands.help import help_entry
from bot.commands.table import COMMANDS, Names

DOCS = Path(__file__).parent.parent / "docs"

_INTRODUCTION = """\
# Commands

Each works as `/pilothouse COMMAND …` and as a mention, `@Pilothouse COMMAND …`; those marked * are registered by name as well.
In the thread of a card the app may be left out. Curly quotes, long dashes, `deployment/hello`, `hello:2.0.0`, `--replicas=5` and
kubectl's short names are understood; a mistake gets one line with the nearest valid form and starts nothing.
"""


def commands_page() -> str:
    return "\n".join([_INTRODUCTION, *(_section(spec.name, by_name=spec.by_default) for spec in COMMANDS)])


def _section(name: str, *, by_name: bool) -> str:
    spec = next(spec for spec in COMMANDS if spec.name == name)
    entry = help_entry(name, Names(), "hello")
    lines = [f"## {name}{' *' if by_name else ''}", "", "```", f"{name} {spec.usage}".rstrip(), "```", ""]
    lines += [f"{entry.summary}.", f"For {entry.who}; {entry.seen_by}.", ""]
    if entry.details:
        lines += [*(f"- {detail}" for detail in entry.details), ""]
    return "\n".join([*lines, f"Examples: {', '.join(f'`{example}`' for example in entry.examples)}", ""])


PAGES: Mapping[str, Callable[[], str]] = {"reference/commands.md": commands_page}


if __name__ == "__main__":
    for name, page in PAGES.items():
        (DOCS / name).write_text(page(), encoding="utf-8")
