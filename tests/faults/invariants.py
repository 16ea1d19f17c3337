"""What must hold once all is quiet, read from records, audit, the cluster's own history and Slack's
messages."""

from __future__ import annotations

import copy
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from types import MappingProxyType
from typing import Any

from bot.policy.permission_table import BUTTONS
from bot.ports import Announcement, AuditLine
from bot.releases.facts.release import Phase, Release
from bot.slack.blocks.buttons import ACTION_PREFIX
from tests.audit_findings import audit_findings
from tests.faults import leftovers, trail
from tests.faults.people import Accepted, wait_until
from tests.faults.stage import CHANNEL, Stage
from tests.faults.trail import CLAIM

REVISION = "deployment.kubernetes.io/revision"
CAUSE = "kubernetes.io/change-cause"
MOST = 10_000
LATE_WAKE_WITHIN_S = 5.0
Json = dict[str, Any]
NOTHING: Mapping[str, Sequence[Json]] = MappingProxyType({})


@dataclass
class Verdict:
    """Each list holds a line for each case."""

    releases: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    causes: Counter[str] = field(default_factory=Counter)
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    stuck: list[str] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)

    @property
    def is_clean(self) -> bool:
        return not (self.lost or self.doubled or self.stuck or self.violations)


def judge(stage: Stage, accepted: list[Accepted]) -> Verdict:
    verdict = Verdict()
    releases = stage.store.recent(limit=MOST)
    verdict.releases = len(releases)
    verdict.outcomes.update(release.phase.value for release in releases)
    verdict.causes.update(
        _cause(release) for release in releases if release.phase is not Phase.SUCCEEDED
    )
    verdict.lost += without_a_record(accepted, releases)
    verdict.stuck += unfinished(releases)
    lines = stage.store.audit(limit=1_000_000)[::-1]
    verdict.violations += audit_findings(stage.store)
    history = stage.history()
    verdict.violations += [*trail.incomplete(releases, lines), *trail.in_order(lines)]
    verdict.violations += [
        *trail.without_a_line(lines, history, clock_ahead_s=stage.clock_ahead_s),
        *trail.written_while_paused(lines),
    ]
    verdict.doubled += [
        *started_twice(releases),
        *trail.counted_twice(lines),
        *trail.done_twice(releases, history),
    ]
    told, twice = _announced(stage, releases, lines)
    verdict.lost += told
    verdict.doubled += twice
    # The watcher may wake a release once more that it took for running: that tick finds nothing
    # to do. Only what stays is reported.
    wait_until(lambda: not any(leftovers.waiting_work(stage.redis)), LATE_WAKE_WITHIN_S)
    verdict.violations += leftovers.in_redis(stage.redis)
    for path in (
        "/apis/apps/v1/namespaces/default/deployments",
        "/api/v1/namespaces/default/services",
    ):
        verdict.violations += leftovers.in_cluster(stage.apps, stage.objects(path))
    verdict.violations += times_without_ready_pods(stage.apps, history)
    verdict.violations += [
        line for release in releases for line in otherwise_than_found(release, history)
    ]
    return verdict


def without_a_record(accepted: Sequence[Accepted], releases: Sequence[Release]) -> list[str]:
    known = {release.id for release in releases}
    return [
        f"{one.text}: {one.release_id} was accepted, and there is no such release"
        for one in accepted
        if one.release_id not in known
    ]


def unfinished(releases: Sequence[Release]) -> list[str]:
    return [
        f"{one.id} is {one.phase.value} at step {one.progress.at_step} of {len(one.steps)}"
        for one in releases
        if not one.phase.is_final
    ]


def unsent(release_id: str, announcements: Sequence[Announcement], *, dirty: bool) -> list[str]:
    """``dirty``: the card shows an older version of the record."""
    if not (announcements or dirty):
        return []
    return [
        f"{release_id}: {len(announcements)} announcements unsent"
        + (", card out of date" if dirty else "")
    ]


def _cause(release: Release) -> str:
    """Without what differs between releases, so that equal causes are counted together."""
    if release.cause is None:
        return f"{release.phase.value}: no cause"
    return f"{release.phase.value}: {re.sub('[0-9]+', '…', release.cause.summary)[:150]}"


def started_twice(releases: tuple[Release, ...]) -> Iterator[str]:
    """Typed again while its release runs, a command must give the same release."""
    by_change: dict[tuple[str, str], list[Release]] = {}
    for release in sorted(releases, key=lambda one: one.created_at):
        by_change.setdefault((release.target.app, repr(release.change)), []).append(release)
    for same in by_change.values():
        for earlier, later in pairwise(same):
            if not earlier.finished_at or later.created_at < earlier.finished_at:
                yield f"{later.id} was started by the command of {earlier.id}, which ran"


def _announced(
    stage: Stage, releases: tuple[Release, ...], lines: Sequence[AuditLine]
) -> tuple[list[str], list[str]]:
    top = stage.sandbox.slack.messages(CHANNEL)
    lost: list[str] = []
    messages = list(top)
    for release in releases:
        ts = stage.store.card(release.id)[1]
        messages += stage.sandbox.slack.messages(CHANNEL, thread_ts=ts)[1:] if ts else []
        announcements, dirty = stage.store.outbox(release.id)
        lost += unsent(release.id, announcements, dirty=dirty)
    calls = [
        call
        for name in ("chat.postMessage", "chat.update")
        for call in stage.sandbox.slack.log(kind="call", name=name)
    ]
    turned_away = refused_as_archived(calls)
    direct = {
        one.id: stage.sandbox.slack.messages(one.requested_by.user)
        for one in releases
        if one.id in turned_away
    }
    return lost + unreported(releases, messages, lines, direct), posted_twice(messages)


def refused_as_archived(calls: Sequence[Json]) -> set[str]:
    """Releases with a message that Slack refused because the channel was archived."""
    return {
        trail.key_of(call["request"]).partition(":")[0]
        for call in calls
        if call.get("error") == "is_archived"
    }


def unreported(
    releases: Sequence[Release],
    messages: Sequence[Json],
    lines: Sequence[AuditLine],
    direct: Mapping[str, Sequence[Json]] = NOTHING,
) -> list[str]:
    """``direct``: by release, the messages sent in person because the channel was archived. The
    channel still gets the card."""
    cards = {trail.key_of(message): message for message in messages}
    lost = [
        line
        for release in releases
        if (line := trail.unreported_end(release, messages, lines, direct.get(release.id, ())))
    ]
    for release in releases:
        card = cards.get(f"{release.id}:card")
        if card is None:
            lost.append(f"{release.id}: no card")
        elif release.phase.is_final and _offers_to_steer(card):
            lost.append(
                f"{release.id} is {release.phase.value}, and its card still offers buttons:"
                f" {card.get('text')}"
            )
    return lost


def _offers_to_steer(card: Json) -> bool:
    """Buttons for a release that runs, which do nothing once it is over."""
    offered = [
        str(button.get("action_id"))
        for block in card.get("blocks", [])
        if block.get("type") == "actions"
        for button in block["elements"]
    ]
    return any(action.removeprefix(ACTION_PREFIX) in BUTTONS for action in offered)


def posted_twice(messages: Sequence[Json]) -> list[str]:
    keys = Counter((trail.key_of(message), message["ts"]) for message in messages)
    by_key = Counter(key for key, _ in keys if key)
    return [f"{key} was posted {count} times" for key, count in by_key.items() if count > 1]


def times_without_ready_pods(apps: Sequence[str], history: list[Json]) -> Iterator[str]:
    """Replays every write of every EndpointSlice: a Service that had ready endpoints must always
    have some."""
    ready: dict[str, dict[str, int]] = {app: {} for app in apps}
    served: set[str] = set()
    for write in history:
        if not write["resource"].startswith("endpointslices"):
            continue
        service = (write["object"]["metadata"].get("labels") or {}).get(
            "kubernetes.io/service-name", ""
        )
        if service not in ready:
            continue
        endpoints = write["object"].get("endpoints") or []
        count = (
            0
            if write["verb"] == "delete"
            else sum(bool(one["conditions"].get("ready")) for one in endpoints)
        )
        ready[service][write["name"]] = count
        if sum(ready[service].values()):
            served.add(service)
        elif service in served:
            served.discard(service)  # reported once for each time
            yield (
                f"Service {service} selected no ready pod at {write['time']:.1f} (write"
                f" {write['number']})"
            )
    for app in apps:
        if app not in served:
            yield f"Service {app} has no ready endpoint at the end, or never had"


def otherwise_than_found(release: Release, history: list[Json]) -> Iterator[str]:
    """What the release changed of its Deployment between its first and last write, and whether it
    kept the floor it promised."""
    before: Json | None = None
    last: Json | None = None
    claimed = False
    for write in history:
        if write["resource"] != "deployments.apps" or write["name"] != release.target.deployment:
            continue
        item: Json = write["object"]
        is_ours = (item["metadata"].get("annotations") or {}).get(CLAIM) == release.id
        if is_ours and not claimed and before is None:
            before = last
        if claimed and not is_ours:
            yield from _compared(release, before or {}, item)
            claimed = False
        claimed = is_ours
        last = item
        available = (item.get("status") or {}).get("availableReplicas", 0)
        if claimed and release.plan is not None and available < release.plan.floor:
            yield (
                f"{release.id}: {available} pods of stable available, the plan promised"
                f" {release.plan.floor}"
            )
            return


def _compared(release: Release, before: Json, after: Json) -> Iterator[str]:
    was, now = _facts(before), _facts(after)
    if release.phase is Phase.SUCCEEDED:
        for facts in (was, now):
            facts["annotations"].pop(CAUSE, None)
            for container in facts["spec"]["template"]["spec"]["containers"]:
                container["image"] = ""
            (facts["spec"]["template"]["metadata"].get("annotations") or {}).pop(CAUSE, None)
    for part, value in was.items():
        if now[part] != value:
            yield (
                f"{release.id} ({release.phase.value}) left {part} of its Deployment otherwise than"
                f" it was: {value} -> {now[part]}"
            )


def _facts(item: Json) -> Json:
    meta = item["metadata"]
    notes = {
        key: value
        for key, value in (meta.get("annotations") or {}).items()
        if not key.startswith("pilothouse.dev/") and key != REVISION
    }
    return {
        "spec": copy.deepcopy(item["spec"]),
        "labels": dict(meta.get("labels") or {}),
        "annotations": notes,
    }
