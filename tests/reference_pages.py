"""Pages of docs/reference that follow from the code: `python -m tests.reference_pages` writes them,
a test compares."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from bot.commands.help import help_entry
from bot.commands.table import COMMANDS, Names
from bot.policy.permission_table import BUTTONS, FORCED, ROLLOUT_VERBS, WITHOUT_ROLE
from bot.policy.permission_table import COMMANDS as COMMAND_PERMISSIONS
from bot.policy.permissions import Permission, roles_granting
from bot.releases.facts.replicas import Bounds, nearest, split_steps
from bot.releases.strategies.canary.notes import share_notes

DOCS = Path(__file__).parent.parent / "docs"

_INTRODUCTION = """\
# Commands

Each works as `/pilothouse COMMAND …` and as a mention, `@Pilothouse COMMAND …`; those marked * are also registered by name.
In the thread of a card you may leave the app out. Curly quotes, long dashes, `deployment/hello`, `hello:2.0.0`, `--replicas=5` and
kubectl's short names are understood. A mistake starts nothing and gets one line with the nearest valid form.
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
    lines += [f"{entry.summary}.", f"For {entry.who}. {entry.seen_by}", ""]
    if entry.details:
        lines += [*(f"- {detail}" for detail in entry.details), ""]
    return "\n".join(
        [*lines, f"Examples: {', '.join(f'`{example}`' for example in entry.examples)}", ""]
    )


_SHARES = """\
# Wanted and reached shares of a canary

Behind one Service the share of traffic is the share of ready pods, so only some shares are possible. The plan takes the nearest and
says so before the start (`/deploy hello 2.0.0 canary dry-run`): "{note}". Of two equally near
shares it takes the one with fewer candidates. The steps of one release always rise, and a step never plans 0 candidates. If two steps
would reach the same share, the plan is refused, and the reply names the possible shares.

Each cell: the share that is reached, and candidates + stable pods. `max_candidates`, a ResourceQuota and the maximum of a
HorizontalPodAutoscaler can reduce the number of candidates; the plan then names the possible shares.
"""  # noqa: E501 — a paragraph of the page
_ADDED = """\
## `mode: add` (default)

Candidates come on top of stable, which stays whole. There are at most as many as stable has, so at most half of the traffic.
"""  # noqa: E501 — a paragraph of the page
_SHIFTED = """\
## `mode: shift`

Stable shrinks too, once the candidates are ready. Together they are never fewer than before, and stable keeps at least one pod.
The plan says how many pods serve right after an abort.
"""  # noqa: E501 — a paragraph of the page
_WANTED = (1, 5, 10, 20, 25, 33, 50, 66, 75, 90, 95, 99)
_REPLICAS = (1, 2, 3, 4, 5, 6, 8, 10, 15, 20, 25, 50, 100)


def shares_page() -> str:
    three = Bounds(3, 3)
    note = share_notes((10,), split_steps((10,), three), three)[0]
    return "\n".join(
        [_SHARES.format(note=note), _ADDED, _shares(shift=False), _SHIFTED, _shares(shift=True)]
    )


def _shares(*, shift: bool) -> str:
    wanted = [share for share in _WANTED if shift or share <= 50]
    rows = [
        ["replicas", *(f"wanted {share}%" for share in wanted)],
        ["---:" for _ in range(len(wanted) + 1)],
    ]
    for replicas in _REPLICAS:
        splits = [nearest(share, Bounds(replicas, replicas, shift=shift)) for share in wanted]
        rows.append(
            [
                str(replicas),
                *(
                    f"{split.percent}% ({split.candidates} + {split.stables})"
                    for split in splits
                    if split
                ),
            ]
        )
    return "\n".join(f"| {' | '.join(row)} |" for row in rows) + "\n"


_ROLES_BEGIN = "<!-- permissions of roles -->\n"
_ROLES_END = "<!-- end of permissions of roles -->"


def permissions_page() -> str:
    """The page as it is, with its table of roles written anew."""
    page = (DOCS / "reference/permissions.md").read_text(encoding="utf-8")
    before, _, rest = page.partition(_ROLES_BEGIN)
    _, _, after = rest.partition(_ROLES_END)
    return f"{before}{_ROLES_BEGIN}{_roles()}{_ROLES_END}{after}"


def _roles() -> str:
    rows = ["| needs | roles | commands | buttons |", "|---|---|---|---|"]
    for permission in Permission:
        roles = ", ".join(roles_granting(permission))
        commands = [f"`{name}`" for name in _commands_with(permission)]
        buttons = [name.capitalize() for name, needed in BUTTONS.items() if needed is permission]
        rows.append(f"| {permission} | {roles} | {', '.join(commands)} | {', '.join(buttons)} |")
    anyone = " and ".join(f"`{name}`" for name in sorted(WITHOUT_ROLE))
    return "\n".join(rows) + f"\n\nAnyone of the workspace may use {anyone}.\n"


def _commands_with(permission: Permission) -> list[str]:
    names = [
        name
        for name, needed in COMMAND_PERMISSIONS.items()
        if needed is permission and name not in {"rollout", *WITHOUT_ROLE}
    ]
    names += [f"rollout {verb}" for verb, needed in ROLLOUT_VERBS.items() if needed is permission]
    return [*names, *(["rollout abort --force"] if permission is FORCED else [])]


PAGES: Mapping[str, Callable[[], str]] = {
    "reference/permissions.md": permissions_page,
    "reference/commands.md": commands_page,
    "reference/shares.md": shares_page,
}


if __name__ == "__main__":
    for name, page in PAGES.items():
        (DOCS / name).write_text(page(), encoding="utf-8")
