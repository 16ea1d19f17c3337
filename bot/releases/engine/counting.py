"""Counters of candidate and stable while the candidate is judged: when they are read, what is
counted of them, and what that says.

Deciding reads nothing: ``metrics_to_read`` says what the next observation must hold.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from urllib.parse import quote

from bot.releases.engine.decision import Decision
from bot.releases.engine.judged_window import (
    AWAY_SHARE,
    Found,
    all_pods,
    demand_of,
    has_both,
    is_judged,
    judged_hold,
    sides,
    versions_of,
    window_of,
)
from bot.releases.facts.ages import duration, moment
from bot.releases.facts.causes import Verdict
from bot.releases.facts.counters import (
    Counts,
    LatencyRules,
    MetricRules,
    MetricsSeen,
    SampleQuery,
    SamplesSeen,
    SeriesSeen,
    Source,
)
from bot.releases.facts.events import EventKind
from bot.releases.facts.observation import Observation
from bot.releases.facts.plan import Side
from bot.releases.facts.release import Release
from bot.releases.judge.cells import side_of
from bot.releases.judge.counters import (
    FEWEST_SCRAPES,
    MOST_INTERVALS,
    STALE_SCRAPES,
    Counting,
    Pods,
    bound_of,
    by_errors,
    by_latency,
    complete_until,
    count,
    interval_for,
    last_scrapes,
    scrape_interval,
    usable,
)
from bot.releases.judge.verdicts import Comparison, compare
from bot.releases.judge.words import compared_text

LOOK_BACK_MS = 150_000
"""A counter's value before an interval is that of an earlier scrape: two of 60 s are in it."""
SCRAPES_BACK = 4
"""Once it is known how far they are apart."""
MOST_BEHIND_MS = 900_000
"""What lies further back is left out: a pause of hours would make too large a question."""
LONGEST_BEFORE_MS = 600_000
AGAIN_MS = 5_000
AWAY_AGAIN_MS = 10_000
LATE_MS = 1_000  # a scrape is stored a moment after its time
MOST_WITH_EXTENSION = 60
LEAST_MS_OF_A_ROLL = 5_000
FINER_IN_A_ROLL = 4  # than a hold: its old pods, by which new ones are measured, soon go
USUAL_ROLL_MS = 600_000
CLEARLY = 3
"""So many times ``worse_by`` turns a switch back by itself: before against after is no proof."""


@dataclass(frozen=True)
class MetricsWanted:
    since: int
    errors: SampleQuery
    latency: SampleQuery | None


def metrics_to_read(release: Release, seen: Observation, now: int) -> MetricsWanted | None:
    """None where nothing new can have been scraped, or nothing is judged."""
    rules = release.rules.metrics
    if rules is None or not is_judged(release) or not has_both(release, seen):
        return None
    due = next_read_at(release, now)
    if due is None or now < due:
        return None
    since = _since(release, rules, now)
    pods = tuple(sorted(_sides_by_name(release, seen)))
    latency = None
    if rules.latency is not None:
        bounds = (rules.latency.bound, float("inf"))
        latency = SampleQuery((rules.latency.histogram,), rules.pod_label, pods, since, bounds)
    errors = SampleQuery((rules.requests, rules.errors), rules.pod_label, pods, since)
    return MetricsWanted(since, errors, latency)


def next_read_at(release: Release, now: int) -> int | None:
    """None once the window is counted, or where nothing is."""
    if release.rules.metrics is None or not is_judged(release):
        return None
    times = [_next_at(one, release) for one in release.progress.counts]
    if not times:
        return max(now, _begins_at(release, release.rules.metrics, now))
    return min((at for at in times if at is not None), default=None)


def _next_at(counts: Counts, release: Release) -> int | None:
    if counts.away:
        return counts.last_at + AWAY_AGAIN_MS
    if not counts.interval_ms:
        return counts.last_at + AGAIN_MS
    ends = _counted_to(counts, release)
    if ends is not None and counts.through + counts.interval_ms > ends:
        return None
    due = counts.through + counts.interval_ms + counts.scrape_ms + LATE_MS
    return max(due, counts.last_at + min(AGAIN_MS, max(LATE_MS, counts.scrape_ms)))


def _counted_to(counts: Counts, release: Release) -> int | None:
    """When the window ends; None for a roll. Against the time before a switch, no later than
    stable was counted."""
    if (window := window_of(release)) is None:
        return None
    begins, lasts = window
    return min(begins + lasts, counts.ends_at or begins + lasts)


def _since(release: Release, rules: MetricRules, now: int) -> int:
    counts = release.progress.counts
    started = [_resumed_at(one, now) for one in counts if one.interval_ms]
    if len(started) == len(counts) and started:
        scrape_ms = max(one.scrape_ms for one in counts)
        return min(started) - min(LOOK_BACK_MS, SCRAPES_BACK * scrape_ms)
    begins = _begins_at(release, rules, now)
    if _is_before_after(release):
        begins = min(begins, release.progress.began_at - _length_before(release, rules))
    return min([begins, *started]) - LOOK_BACK_MS


def _resumed_at(counts: Counts, now: int) -> int:
    """Where counting continues: where it ended, or as far back as may be asked."""
    behind = now - counts.through - MOST_BEHIND_MS
    if behind <= 0 or not counts.interval_ms:
        return counts.through
    return counts.through + counts.interval_ms * -(-behind // counts.interval_ms)


def _begins_at(release: Release, rules: MetricRules, now: int) -> int:
    """The beginning of what is counted; a roll's: now, since both sides are ready."""
    state, gate = release.progress.gate, judged_hold(release)
    if state is None or gate is None:
        return now
    if rules.window_ms is None:
        return state.opened_at
    return state.opened_at + release.progress.paused_ms + max(0, gate.ms - rules.window_ms)


def _is_before_after(release: Release) -> bool:
    gate = judged_hold(release)
    return gate is not None and gate.is_rollback_window


def _length_before(release: Release, rules: MetricRules) -> int:
    gate = judged_hold(release)
    lasts = rules.window_ms or (gate.ms if gate is not None else LONGEST_BEFORE_MS)
    return min(lasts, LONGEST_BEFORE_MS)


def _length(release: Release, rules: MetricRules) -> int:
    """Of what will be counted, as far as it is known beforehand."""
    gate, step = judged_hold(release), release.current_step
    if gate is None:
        longest = (step.deadline_ms if step is not None else None) or USUAL_ROLL_MS
        return max(longest // FINER_IN_A_ROLL, MOST_INTERVALS * LEAST_MS_OF_A_ROLL)
    if gate.is_rollback_window:
        return _length_before(release, rules)
    window = min(gate.ms, rules.window_ms or gate.ms)
    longer = release.rules.judge.extend_ms if release.rules.judge is not None else 0
    return max(window, (window + longer) * MOST_INTERVALS // MOST_WITH_EXTENSION)


def _sides_by_name(release: Release, seen: Observation) -> dict[str, Side]:
    """With pods that are gone by now, whose last samples count."""
    known = {cell.pod: cell.side for counts in release.progress.counts for cell in counts.cells}
    candidate, stable = all_pods(release, seen)
    known |= {pod.name: Side.STABLE for pod in stable}
    return known | {pod.name: Side.CANDIDATE for pod in candidate}


# --- what was scraped -----------------------------------------------------------------------------


def record_metrics(decision: Decision, seen: Observation, now: int) -> Decision:
    """Count what was scraped since the last observation, and be woken for the next."""
    release, rules = decision.release, decision.release.rules.metrics
    if rules is None or not is_judged(release):
        return decision
    if seen.metrics is not None:
        counts = _counted(release, rules, seen, seen.metrics, now)
        progress = replace(release.progress, counts=counts)
        decision = decision.changed(replace(release, progress=progress))
        decision = _record_change(decision, release.progress.counts, counts, now)
    return (
        decision.wake(next_read_at(decision.release, now)) if has_both(release, seen) else decision
    )


def _record_change(
    decision: Decision, before: tuple[Counts, ...], after: tuple[Counts, ...], now: int
) -> Decision:
    """Once when the metrics go away, and once when they are back."""
    was = next((one.away for one in before if one.away), "")
    now_away = next((one.away for one in after if one.away), "")
    if now_away and not was:
        return decision.record(now, EventKind.JUDGED, f"no metrics: {now_away}")
    if was and not now_away:
        return decision.record(now, EventKind.JUDGED, "metrics are counted again")
    return decision


def _counted(
    release: Release, rules: MetricRules, seen: Observation, metrics: MetricsSeen, now: int
) -> tuple[Counts, ...]:
    known = {one.source: one for one in release.progress.counts}
    answered: list[tuple[Source, SamplesSeen, Counting]] = [
        ("errors", metrics.errors, by_errors(rules))
    ]
    if rules.latency is not None and metrics.latency is not None:
        answered.append(("latency", metrics.latency, by_latency(rules.latency)))
    begins = _begins_at(release, rules, now)
    scraped = _Scraped(release, rules, seen, metrics.since, now)
    return tuple(
        scraped.added(known.get(source) or Counts(source, begins), samples, counting)
        for source, samples, counting in answered
    )


@dataclass(frozen=True)
class _Scraped:
    """One observation of counters."""

    release: Release
    rules: MetricRules
    seen: Observation
    since: int
    now: int

    def added(self, counts: Counts, samples: SamplesSeen, counting: Counting) -> Counts:
        series = usable(samples.series)
        by_name = _sides_by_name(self.release, self.seen)
        away = samples.away or self._silent(counts.source, series, by_name)
        if away:
            return replace(counts, last_at=self.now, away=away)
        pods = Pods(by_name, self._new_pods())
        counts = replace(counts, last_at=self.now, away="")
        if not counts.interval_ms:
            counts = self._begun(counts, series, pods, counting)
        return self._through(counts, series, pods, counting) if counts.interval_ms else counts

    def _silent(
        self, source: Source, series: tuple[SeriesSeen, ...], by_name: dict[str, Side]
    ) -> str:
        """Why these samples say nothing; "" where they may."""
        if not any(by_name.get(one.pod) is Side.STABLE for one in series):
            label = self.rules.pod_label
            return (
                f"Prometheus has no series of these pods by the label `{label}`: it is another"
                " cluster's, does not scrape them, or names them otherwise"
            )
        latency = self.rules.latency
        if source == "latency" and latency is not None:
            return _no_bucket(latency, series)
        return ""

    def _new_pods(self) -> frozenset[str]:
        pods = (pod for side in all_pods(self.release, self.seen) for pod in side)
        return frozenset(pod.name for pod in pods if pod.created_at >= self.since)

    def _begun(
        self, counts: Counts, series: tuple[SeriesSeen, ...], pods: Pods, counting: Counting
    ) -> Counts:
        """The length of the intervals is chosen, by nothing but the times of scrapes."""
        scrape_ms = scrape_interval(series)
        if not scrape_ms:
            return counts
        interval_ms = interval_for(_length(self.release, self.rules), scrape_ms)
        counts = replace(
            counts, through=counts.begins_at, interval_ms=interval_ms, scrape_ms=scrape_ms
        )
        if not _is_before_after(self.release):
            return counts
        return self._before(counts, series, pods, counting)

    def _before(
        self, counts: Counts, series: tuple[SeriesSeen, ...], pods: Pods, counting: Counting
    ) -> Counts:
        """Stable's, of the time before the switch, at the times of the candidate's: the latest
        beside the first, since stable may be young."""
        interval = counts.interval_ms
        number = max(1, _length_before(self.release, self.rules) // interval)
        ends = self.release.progress.began_at
        stable = Pods(
            {name: side for name, side in pods.sides.items() if side is Side.STABLE}, pods.new
        )
        cells = tuple(
            cell
            for at in range(number)
            for cell in count(
                series,
                stable,
                ends - (number - at) * interval,
                ends - (number - at - 1) * interval,
                counting,
                shown_at=counts.begins_at + (number - 1 - at) * interval,
            )
        )
        last = counts.begins_at + number * interval
        return replace(counts, cells=cells, before=True, ends_at=last)

    def _through(
        self, counts: Counts, series: tuple[SeriesSeen, ...], pods: Pods, counting: Counting
    ) -> Counts:
        if counts.before:
            new = {name: side for name, side in pods.sides.items() if side is Side.CANDIDATE}
            pods = Pods(new, pods.new)
        live = [pod.name for side in sides(self.release, self.seen) for pod in side]
        waiting_for = [name for name in live if name in pods.sides]
        complete = complete_until(last_scrapes(series), waiting_for, counts.scrape_ms, self.now)
        ends, through = _counted_to(counts, self.release), _resumed_at(counts, self.now)
        cells = list(counts.cells)
        until = complete if ends is None else min(complete, ends)
        while through + counts.interval_ms <= until:
            following = through + counts.interval_ms
            cells += count(series, pods, through, following, counting)
            through = following
        counts = replace(counts, cells=tuple(cells), through=max(counts.through, through))
        return replace(counts, away=_stalled(counts, complete, ends, self.now))


def _no_bucket(latency: LatencyRules, series: tuple[SeriesSeen, ...]) -> str:
    if any(bound_of(one.labels) == latency.bound for one in series):
        return ""
    return (
        f"`{latency.histogram.metric}` has no bucket that ends at"
        f" {duration_text(latency.slower_than_ms)}: choose another `slower_than`"
    )


def _stalled(counts: Counts, complete: int, ends: int | None, now: int) -> str:
    """Scrapes that no longer come are no sign of health."""
    late_after = STALE_SCRAPES * counts.scrape_ms + counts.interval_ms + AGAIN_MS
    is_over = ends is not None and counts.through + counts.interval_ms > ends
    if is_over or complete or now - counts.through <= late_after:
        return ""
    return f"no pod was scraped since {moment(counts.through)}"


# --- what it says ---------------------------------------------------------------------------------


def judge_metrics(release: Release) -> tuple[Found, ...]:
    """One for each source that was read."""
    rules, plan = release.rules.metrics, release.plan
    if rules is None or plan is None:
        return ()
    return tuple(_judged(release, rules, one) for one in release.progress.counts)


def _judged(release: Release, rules: MetricRules, counts: Counts) -> Found:
    assert release.plan is not None
    demand = demand_of(release, release.plan, min_requests=rules.min_requests)
    cells = [cell for cell in counts.cells if cell.at < counts.through]
    compared = compare(cells, demand)
    few = _few_scrapes(counts)
    verdict = Verdict.TOO_LITTLE if few else compared.verdict
    away = _away(counts, compared, is_bad=verdict is Verdict.BAD)
    text = f"{_text(release, rules, counts, compared)}{few}"
    is_clear = not counts.before or (
        verdict is Verdict.BAD
        and compare(cells, replace(demand, worse_by=CLEARLY * demand.worse_by)).verdict is verdict
    )
    query = _query(rules, counts)
    return Found(
        Verdict.SOURCE_AWAY if away else verdict,
        f"{away}: {text}" if away else text,
        compared,
        source=counts.source,
        is_clear=is_clear,
        window=(counts.begins_at, counts.through),
        query=query,
        link=_link(rules, query, counts),
    )


def _few_scrapes(counts: Counts) -> str:
    scrapes = (counts.through - counts.begins_at) // counts.scrape_ms if counts.scrape_ms else 0
    if counts.away or scrapes >= FEWEST_SCRAPES:
        return ""
    every = f" of {duration_text(counts.scrape_ms)}" if counts.scrape_ms else ""
    return f", fewer than three scrapes{every}"


def _away(counts: Counts, compared: Comparison, *, is_bad: bool) -> str:
    if compared.stable.rate >= AWAY_SHARE:
        slow = counts.source == "latency"
        return f"the version before {'is as slow' if slow else 'fails as well'}"
    return "" if is_bad else counts.away


def _text(release: Release, rules: MetricRules, counts: Counts, compared: Comparison) -> str:
    assert release.plan is not None
    new, old = versions_of(release, release.plan)
    what = "failed"
    if counts.source == "latency" and rules.latency is not None:
        what = f"took longer than {duration_text(rules.latency.slower_than_ms)}"
    if counts.before:
        new, old = f"{new} after the switch", f"{old} before it"
    text = compared_text(compared, new, old, what=what)
    if not counts.through > counts.begins_at:
        return text
    lasted = duration(counts.through - counts.begins_at)
    missing = [
        name
        for name, side in ((new, Side.CANDIDATE), (old, Side.STABLE))
        if not side_of(counts.cells, side)
    ]
    nothing = f"; no request was counted on {' or '.join(missing)}" if missing else ""
    return f"{text} (Prometheus, {lasted} until {moment(counts.through)}){nothing}"


def duration_text(ms: int) -> str:
    """
    >>> duration_text(500), duration_text(2_000), duration_text(1_500)
    ('500 ms', '2 s', '1.5 s')
    """
    return f"{ms} ms" if ms < 1000 else f"{ms / 1000:g} s"


def _query(rules: MetricRules, counts: Counts) -> str:
    """For people: by pod, over the window."""
    seconds = max(1, (counts.through - counts.begins_at) // 1000)
    if counts.source == "latency" and rules.latency is not None:
        counted = rules.latency.histogram.text
        labels = f"{rules.pod_label}, le"
    else:
        counted, labels = rules.errors.text, rules.pod_label
    return f"sum by ({labels}) (increase({counted}[{seconds}s]))"


def _link(rules: MetricRules, query: str, counts: Counts) -> str:
    if not rules.url:
        return ""
    ends = moment(counts.through)[:-1].replace("T", " ")
    return (
        f"{rules.url}/graph?g0.expr={quote(query, safe='')}&g0.tab=1"
        f"&g0.moment_input={quote(ends, safe='')}"
    )
