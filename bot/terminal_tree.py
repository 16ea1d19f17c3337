"""`pilothouse release ID [--watch]`: one release as a tree in a terminal. It only reads Redis;
`--compare` reads the app's cluster too."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from itertools import groupby

from rich.console import Console, Group, RenderableType
from rich.text import Text
from rich.tree import Tree

from bot.ports import ReleaseStore, StoreUnavailable, UnknownSchema
from bot.releases.assess.card_snapshot import pod_role
from bot.releases.facts.ages import human_age, moment
from bot.releases.facts.card_snapshot import PodLine
from bot.releases.facts.counts import counted
from bot.releases.facts.plan import Step
from bot.releases.facts.release import Release
from bot.slack.blocks.timeline import steps_over, took_words
from bot.slack.blocks.words import change_words, percent, phase_words, verdict_words
from bot.slack.markup import for_terminal
from bot.stop_signal import StopSignal
from bot.terminal import STYLES, open_store, watch_drawing

BAR_CELLS = 20


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status 0; 1 when Redis is unavailable or has no such release; 2 for mistakes in the
    settings."""
    parser = argparse.ArgumentParser(
        prog="pilothouse release", description="One release: its steps, its traffic, its pods."
    )
    parser.add_argument("id", help="the release, such as hello-42")
    parser.add_argument(
        "--watch", action="store_true", help="keep watching until it ends, or until Ctrl-C"
    )
    parser.add_argument(
        "--compare",
        action="store_true",
        help="what it changed in the cluster (needs PILOTHOUSE_CONFIG)",
    )
    given = parser.parse_args(argv)
    store, console = open_store(), Console()
    if store is None:
        return 2
    try:
        release = store.load(given.id)
        if given.compare:
            # Imports what speaks to clusters: the tree starts faster without it.
            from bot.terminal_comparison import show_comparison

            return show_comparison(release, console)
        if given.watch:
            watch_release(store, console, StopSignal().on_signals(), release.id)
        else:
            console.print(release_tree(release, now=store.now()))
    except KeyError:
        print(f"There is no release {for_terminal(given.id)}.", file=sys.stderr)
        return 1
    except (StoreUnavailable, UnknownSchema) as away:
        print(away, file=sys.stderr)
        return 1
    return 0


def watch_release(store: ReleaseStore, console: Console, stop: StopSignal, release_id: str) -> None:
    """Redraws once a second until the release is over."""

    def draw() -> RenderableType:
        release = store.load(release_id)
        if release.phase.is_final:
            stop.request()
        return release_tree(release, now=store.now())

    watch_drawing(console, stop, draw)


def release_tree(release: Release, *, now: int) -> Group:
    """The release, its steps, the share of the traffic, then Deployment, ReplicaSet and pods."""
    parts: list[RenderableType] = [_head(release, now), *_story(release), *_steps(release)]
    share = percent(release)
    if share is not None and not release.phase.is_final:
        filled = round(share * BAR_CELLS / 100)
        cells = "█" * filled + "░" * (BAR_CELLS - filled)
        parts.append(_line(f"{cells} {share}% on {release.to_version}"))
    return Group(*parts, *_deployments(release, now))


def _head(release: Release, now: int) -> Text:
    took = human_age((release.finished_at or now) - release.created_at)
    words = f"{release.id}  {change_words(release)} · {phase_words(release)} · {took}"
    return _line(words, STYLES.get(release.phase, "bold"))


def _story(release: Release) -> Iterator[Text]:
    """Who, when and why; how it ended; what was judged and approved."""
    by, at = release.requested_by.display_name, moment(release.created_at)
    reason = f": {release.reason}" if release.reason else ""
    yield _line(f" by {by}, {at}{reason}")
    if release.cause is not None:
        yield _line(f" why: {release.cause.summary}")
    for passed in release.passed:
        gate, named, who = passed.partition(": ")
        if named:
            yield _line(f" {gate} approved by {who}")
    if release.judgements:
        last = release.judgements[-1]
        yield _line(f" verdict {moment(last.at)}: {verdict_words(last)}, {last.detail}")


def _steps(release: Release) -> Iterator[Text]:
    if release.phase.is_final:
        for one in steps_over(release):
            yield _line(f" {'■' if one.cut else '✔'} {one.title} · {took_words(one)}")
        return
    for index, step in enumerate(release.steps):
        if step.until or step.gates:
            yield _line(f" {_mark(release, index)} {step.title}{_took(release, step)}")


def _mark(release: Release, index: int) -> str:
    if index == release.progress.at_step:
        return "▶"
    return "✔" if index < release.progress.at_step else "·"


def _took(release: Release, step: Step) -> str:
    times = (one for one in reversed(release.timeline) if one.title == step.title and not one.cut)
    one = next(times, None)
    return f" · {took_words(one)}" if one else ""


def _deployments(release: Release, now: int) -> Iterator[Tree]:
    pods = release.card_snapshot.pods
    has_both = len({pod.side for pod in pods}) > 1
    names = {"stable": release.target.deployment, "candidate": release.candidate_name}
    for side, of_side in groupby(sorted(pods, key=_order), key=lambda pod: pod.side):
        tree = Tree(_line(f"Deployment {names[side]} ({side})"), guide_style="dim")
        for (revision, version), group in groupby(of_side, key=lambda p: (p.revision, p.version)):
            mine = list(group)
            role = pod_role(release, side, is_new=mine[0].is_new, has_both=has_both)
            ready = sum(pod.ready for pod in mine)
            known = f" revision {revision}" if revision else ""
            words = f"ReplicaSet{known} · {version} · {role} · {ready}/{len(mine)} ready"
            branch = tree.add(_line(words))
            for pod in mine:
                branch.add(_pod(pod, now))
        yield tree
    more = release.card_snapshot.pods_total - len(pods)
    if more > 0:
        yield Tree(_line(f"and {counted(more, 'more pod')}"))


def _order(pod: PodLine) -> tuple[bool, int, str, str]:
    return pod.side == "candidate", pod.revision, pod.version, pod.name


def _pod(pod: PodLine, now: int) -> Text:
    ready = pod.containers or ("ready" if pod.ready else "not ready")
    again = f" · {counted(pod.restarts, 'restart')}" if pod.restarts else ""
    words = f"{'✔' if pod.ready else '✖'} {pod.name}  {pod.status} · {ready}{again}"
    return _line(f"{words} · {human_age(now - pod.created_at)}", "" if pod.ready else "yellow")


def _line(text: str, style: str = "") -> Text:
    return Text(for_terminal(text), style=style, no_wrap=True, overflow="ellipsis")
