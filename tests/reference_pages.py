"""Pages of docs/reference that follow from the code, and the catalog in the schema of the chart's
values: `python -m tests.reference_pages` writes them, a test compares."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path

from bot.commands.help import help_entry
from bot.commands.table import COMMANDS, Names
from bot.metric_table import METRICS
from bot.policy.permission_table import BUTTONS, FORCED, ROLLOUT_VERBS, WITHOUT_ROLE
from bot.policy.permission_table import COMMANDS as COMMAND_PERMISSIONS
from bot.policy.permissions import Permission, roles_granting
from bot.releases.facts.replicas import Bounds, nearest, split_steps
from bot.releases.judge.budget import divide
from bot.releases.judge.power import Needed
from bot.releases.strategies.canary.notes import share_notes
from config.schema import catalog_schema

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
would reach the same share, the plan is refused, and the reply names the possible shares; of the catalog's steps a single replica gets the last.

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


_METRICS = """\
# Metrics

Bot and workers serve these at `/metrics`, in Prometheus' format, on `PILOTHOUSE_METRICS_PORT`.

Figures *of the installation* are in Redis, so every worker reads the same: one worker reports them at a time, and `sum()` over pods counts
each once. When that worker ends, another takes over within a minute. Each process adds what it counted after each job (bot and watcher every
10 s), so a process that is killed loses a little. Figures *of the process* belong to one pod, `process` being `ticker`,
`watcher`, `queries`, `delivery`, `events`, `metrics` or `releases-N`. Figures *of the bot* are counted by each bot for the requests that it took: sum
them. The bot also serves what every Python process does under `process_…` (memory, processor time, open files).

| metric | type | of | labels | meaning |
|---|---|---|---|---|
"""  # noqa: E501 — paragraphs of the page
_ALERTS = """
The chart's `metrics.alerts.enabled` makes a PrometheusRule of [these alerts](../../helm/pilothouse/templates/alerts.yaml). Without the
Prometheus operator, take their expressions from there, with the namespace of your scrape.

- `outcome` of a release: `succeeded`, `rolled_back`, `aborted`, `failed`, `rejected`, `expired`. `strategy`: `rolling`, `canary`, `bluegreen`, or
  what else was asked: `scale`, `restart`, `undo`, `apply`. A release that never began is counted, and has no duration.
- `code` of a request to Kubernetes: the status, or `timeout`, `connection`, `name` (it cannot be resolved), `tls`. `method`: the HTTP method,
  and `WATCH`, counted when it begins.
- `code` of a call to Slack: `ok`, Slack's own word (`ratelimited`, `channel_not_found`), or `timeout`, `connection`. `method`: Slack's, and
  `response_url`.
- `budget`: `edits` of the workspace, or `posts CHANNEL`.

The share of releases that did not succeed, by strategy: `sum by (strategy) (increase(pilothouse_releases_total{outcome!="succeeded"}[7d])) /
sum by (strategy) (increase(pilothouse_releases_total[7d]))`.
"""  # noqa: E501 — a paragraph of the page


def metrics_page() -> str:
    rows = [
        f"| `{one.served_as}` | {one.kind} | {one.of.value} |"
        f" {', '.join(f'`{label}`' for label in one.labels)} | {one.help} |"
        for one in METRICS
    ]
    return _METRICS + "\n".join(rows) + "\n" + _ALERTS


_NEEDED_BEGIN = "<!-- requests needed -->\n"
_NEEDED_END = "<!-- end of requests needed -->"
_WORSENINGS = (1, 2, 5, 20)
_BASE_RATES = (0.0, 0.001, 0.01)
_RATIOS = ((1.0, "as many on stable"), (9.0, "nine times as many on stable"))


def judging_page() -> str:
    """The page as it is, with its table of requests written anew."""
    page = (DOCS / "explanation/judging.md").read_text(encoding="utf-8")
    before, _, rest = page.partition(_NEEDED_BEGIN)
    _, _, after = rest.partition(_NEEDED_END)
    return f"{before}{_NEEDED_BEGIN}{_requests_needed()}{_NEEDED_END}{after}"


def _requests_needed() -> str:
    heads = [f"{act} {points}" for act in ("notice", "exclude") for points in _WORSENINGS]
    rows = [
        ["requests of stable", "it fails", *heads],
        ["---", "---:", *("---:" for _ in heads)],
    ]
    shares = divide(0.01, holds=3, sources=2, watches=True)
    for ratio, words in _RATIOS:
        for base in _BASE_RATES:
            needed = Needed(shares.alarm, shares.miss, base, ratio)
            counts = [needed.to_notice(points / 100) for points in _WORSENINGS]
            counts += [needed.to_exclude(points / 100) for points in _WORSENINGS]
            numbers = [f"{count:,}" if count else "-" for count in counts]
            rows.append([words, f"{base:.1%}", *numbers])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows) + "\n"


VALUES_SCHEMA = "../helm/pilothouse/values.schema.json"
_CATALOG_IN_VALUES = re.compile(r'^    "catalog": \{\n.*?^    \}', re.MULTILINE | re.DOTALL)


def values_schema() -> str:
    """The file as it is, with the catalog's schema written anew in its definitions."""
    found = json.dumps(catalog_schema(at="#/$defs/catalog"), indent=2, ensure_ascii=False)
    block = '    "catalog": ' + found.replace("\n", "\n    ")
    text = (DOCS / VALUES_SCHEMA).read_text(encoding="utf-8")
    return _CATALOG_IN_VALUES.sub(lambda _: block, text, count=1)


PAGES: Mapping[str, Callable[[], str]] = {
    "explanation/judging.md": judging_page,
    "reference/metrics.md": metrics_page,
    "reference/permissions.md": permissions_page,
    "reference/commands.md": commands_page,
    "reference/shares.md": shares_page,
    VALUES_SCHEMA: values_schema,
}


if __name__ == "__main__":
    for name, page in PAGES.items():
        (DOCS / name).write_text(page(), encoding="utf-8")
