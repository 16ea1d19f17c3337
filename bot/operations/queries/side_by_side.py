"""One question to several clusters at once: a cluster that does not answer costs its own time limit
once, whatever the others say meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import TypeVar

from bot.operations.context import App
from bot.ports import ClusterUnreachable, Refused, Runtime, Table

_Part = TypeVar("_Part")


def by_cluster(apps: Iterable[App]) -> Mapping[str, tuple[App, ...]]:
    found: dict[str, tuple[App, ...]] = {}
    for app in apps:
        found[app.target.cluster] = (*found.get(app.target.cluster, ()), app)
    return found


def side_by_side(
    runtime: Runtime,
    parts: Mapping[str, tuple[App, ...]],
    ask: Callable[[tuple[App, ...]], _Part],
) -> Mapping[str, _Part | ClusterUnreachable | Refused]:
    """What ``ask`` returned for the apps of each cluster, or why it could not be said."""
    answers: dict[str, _Part | ClusterUnreachable | Refused] = {}

    def answer(cluster: str, apps: tuple[App, ...]) -> None:
        try:
            answers[cluster] = ask(apps)
        except (ClusterUnreachable, Refused) as failure:
            answers[cluster] = failure

    works = [partial(answer, cluster, apps) for cluster, apps in parts.items()]
    if len(works) == 1:
        works[0]()
    elif works:
        runtime.run_together(works)
    return {cluster: answers[cluster] for cluster in parts}


def tables_of_each(
    runtime: Runtime,
    apps: Sequence[App],
    what: str,
    read: Callable[[tuple[App, ...]], tuple[Table, ...]],
) -> tuple[Table, ...]:
    """A cluster that has none to show is named and hides no other. Raises ClusterUnreachable,
    Refused where that is so of every cluster."""
    answers = side_by_side(runtime, by_cluster(apps), read)
    tables: list[Table] = []
    failures = []
    for cluster, answer in answers.items():
        if isinstance(answer, tuple):
            tables += answer
        else:
            failures.append(answer)
            tables.append(Table(f"{what} on {cluster}", (), (), str(answer)))
    if failures and len(failures) == len(answers):
        raise failures[0]
    return tuple(tables)
