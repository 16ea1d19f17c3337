"""`pilothouse release ID --compare`: what a release changed in the cluster, in a terminal. It reads
Redis, the catalog and the app's cluster."""

from __future__ import annotations

import sys

from rich.console import Console
from rich.text import Text

from bot.configuration import Unconfigured, load_configuration
from bot.operations.queries.compare_release import compare_release
from bot.operations.replies import ComparisonReply
from bot.ports import ClusterUnreachable, Refused
from bot.releases.facts.release import Release
from bot.releases.planning.refusals import PlanRefused
from bot.slack.markup import for_terminal
from bot.wiring import make_context


def show_comparison(release: Release, console: Console) -> int:
    """Exit status 0; 1 where there is nothing to compare with; 2 for mistakes in the settings or
    the catalog. Raises StoreUnavailable."""
    try:
        context = make_context(*load_configuration("terminal"))
    except Unconfigured as mistakes:
        print(mistakes, file=sys.stderr)
        return 2
    try:
        reply = compare_release(context, release)
    except (ClusterUnreachable, PlanRefused, Refused) as refused:
        print(for_terminal(str(refused)), file=sys.stderr)
        return 1
    for line in _lines(reply):
        console.print(Text(for_terminal(line)), soft_wrap=True)
    return 0


def _lines(reply: ComparisonReply) -> list[str]:
    release = reply.release
    fields = (f" {what}: {before} → {after}" for what, before, after in reply.rows)
    return [f"{release.id}  {release.target.label} before and after", f" {reply.note}", *fields]
