"""Share of ready endpoints per version and, where the app has a probe, which versions answered."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from bot.operations.context import App, Context
from bot.operations.queries.observe_app import observe_app
from bot.operations.queries.side_by_side import tables_of_each
from bot.ports import Table
from bot.releases.assess.card_snapshot import app_image
from bot.releases.assess.rollout import pods_of
from bot.releases.facts.images import version_of


def show_traffic(context: Context, apps: Sequence[App]) -> tuple[Table, ...]:
    """A cluster that does not answer is named and hides no other. Raises ClusterUnreachable,
    Refused where none has anything to show."""

    def read(here: tuple[App, ...]) -> tuple[Table, ...]:
        return tuple(table for app in here for table in _traffic_of(context, app))

    return tables_of_each(context.runtime, apps, "Traffic", read)


def _traffic_of(context: Context, app: App) -> tuple[Table, ...]:
    seen = observe_app(context, app)
    pods = {pod.uid: pod for pod in (*pods_of(seen.stable), *pods_of(seen.candidate))}
    tables = []
    for service in app.target.services:
        ready = [
            e for e in seen.endpoints if e.service == service and e.ready and not e.terminating
        ]
        counts = Counter(
            (
                version_of(app_image(pods[e.pod_uid], app.target.container))
                if e.pod_uid in pods
                else "other pods"
            )
            for e in ready
        )
        rows = tuple(
            (version, str(count), f"{round(100 * count / len(ready))}%")
            for version, count in sorted(counts.items())
        )
        note = "" if ready else f"Service {service} has no ready endpoint"
        tables.append(
            Table(
                f"{app.target.label}: ready endpoints of {service}",
                ("VERSION", "ENDPOINTS", "SHARE"),
                rows,
                note,
            )
        )
        affinity = next(
            (
                str(one.affinity.get("sessionAffinity"))
                for one in seen.services
                if one.name == service
            ),
            "",
        )
        tables += _probed(context, app, service, is_sticky=affinity == "ClientIP")
    if not tables:
        tables.append(
            Table(
                f"{app.target.label} has no Service",
                ("VERSION", "ENDPOINTS", "SHARE"),
                (),
                "nothing to share",
            )
        )
    return tuple(tables)


def _probed(context: Context, app: App, service: str, *, is_sticky: bool) -> list[Table]:
    """kube-proxy chooses a pod for each connection, by the client's address where there is session
    affinity; the API server's proxy takes any ready pod for each request, so it hides the
    affinity."""
    probe = app.rules.probe
    if probe is None:
        return []
    kept = "; session affinity keeps one client on one pod" if is_sticky else ""
    if probe.url is None:
        unseen = "; it does not know the Service's session affinity" if is_sticky else ""
        ways = [(False, "requests", f"through the API server, which takes any ready pod{unseen}")]
    else:
        ways = [
            (False, "requests, each over a new connection", f"to {probe.url}{kept}"),
            (True, "requests over one connection", ""),
        ]
    cluster = context.cluster(app.target.cluster)
    tables = []
    for sticky, how, note in ways:
        answers = Counter(
            cluster.probe(
                app.target,
                service,
                probe.path,
                requests=probe.requests,
                sticky=sticky,
                url=probe.url,
            )
        )
        total = sum(answers.values())
        rows = tuple(
            (answer[:80], str(n), f"{round(100 * n / total)}%")
            for answer, n in answers.most_common(20)
        )
        tables.append(
            Table(
                f"{probe.path} of {service}: {total} {how}",
                ("ANSWER", "REQUESTS", "SHARE"),
                rows,
                note,
            )
        )
    return tables
