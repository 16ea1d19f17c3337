"""Pages of docs/reference that follow from the code: `python -m tests.reference_pages` writes them,
a test compares."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from bot.commands.help import help_entry
from bot.commands.table import COMMANDS, Names
from bot.releases.facts.replicas import Bounds, nearest

DOCS = Path(__file__).parent.parent / "docs"

_INTRODUCTION = """\
# Commands

Each works as `/pilothouse COMMAND …` and as a mention, `@Pilothouse COMMAND …`; those marked * are registered by name as well.
In the thread of a card the app may be left out. Curly quotes, long dashes, `deployment/hello`, `hello:2.0.0`, `--replicas=5` and
kubectl's short names are understood; a mistake gets one line with the nearest valid form and starts nothing.
"""  # noqa: E501 — a paragraph of the page


def commands_page() -> str:
    return "\n".join(
        [_INTRODUCTION, *(_section(spec.name, by_name=spec.by_default) for spec in COMMANDS)]
    )


def _section(name: str, *, by_name: bool) -> str:
    spec = next(spec for spec in COMMANDS if spec.name == name)
    entry = help_entry(name, Names(), "hello")
    lines = [
        f"## {name}{' *' if by_name else ''}",
        "",
        "```",
        f"{name} {spec.usage}".rstrip(),
        "```",
        "",
    ]
    lines += [f"{entry.summary}.", f"For {entry.who}; {entry.seen_by}.", ""]
    if entry.details:
        lines += [*(f"- {detail}" for detail in entry.details), ""]
    return "\n".join(
        [*lines, f"Examples: {', '.join(f'`{example}`' for example in entry.examples)}", ""]
    )


_SHARES = """\
# Wanted and reached shares of a canary

Behind one Service the share of traffic is the share of ready pods, so only some shares can be had. The plan takes the nearest and
says so before the start (`/deploy hello 2.0.0 canary dry-run`): "wanted 10 %, nearest 25 % with 3 replicas". Of two as near it takes
the one with fewer candidates. The steps of one release always rise, a step never plans 0 candidates, and steps that cannot be told
apart are refused with what can be reached.

Each cell: the share that is reached, and candidates + stable pods. `max_candidates`, the room in a ResourceQuota and the maximum of a
HorizontalPodAutoscaler can make the candidates fewer; then the plan names what is within reach.
"""  # noqa: E501 — a paragraph of the page
_ADDED = """\
## `mode: add` (default)

Candidates come on top of stable, which stays whole; at most as many as stable has, so at most half of the traffic.
"""  # noqa: E501 — a paragraph of the page
_SHIFTED = """\
## `mode: shift`

Stable shrinks as well, once the candidates are ready; together they are never fewer than before, and stable keeps at least one pod.
The plan says how many serve right after an abort.
"""  # noqa: E501 — a paragraph of the page
_WANTED = (1, 5, 10, 20, 25, 33, 50, 66, 75, 90, 95, 99)
_REPLICAS = (1, 2, 3, 4, 5, 6, 8, 10, 15, 20, 25, 50, 100)


def shares_page() -> str:
    return "\n".join([_SHARES, _ADDED, _shares(shift=False), _SHIFTED, _shares(shift=True)])


def _shares(*, shift: bool) -> str:
    wanted = [share for share in _WANTED if shift or share <= 50]
    rows = [
        ["replicas", *(f"wanted {share} %" for share in wanted)],
        ["---:" for _ in range(len(wanted) + 1)],
    ]
    for replicas in _REPLICAS:
        splits = [nearest(share, Bounds(replicas, replicas, shift=shift)) for share in wanted]
        rows.append(
            [
                str(replicas),
                *(
                    f"{split.percent} % ({split.candidates} + {split.stables})"
                    for split in splits
                    if split
                ),
            ]
        )
    return "\n".join(f"| {' | '.join(row)} |" for row in rows) + "\n"


PAGES: Mapping[str, Callable[[], str]] = {
    "reference/commands.md": commands_page,
    "reference/shares.md": shares_page,
}


if __name__ == "__main__":
    for name, page in PAGES.items():
        (DOCS / name).write_text(page(), encoding="utf-8")
