"""Share of ready endpoints per version and, where the app has a probe, which versions answered."""

from __future__ import annotations

from collections import Counter

from bot.operations.context import App, Context
from bot.operations.look_at import look_at
from bot.ports import Table
from bot.releases.health import pods_of
from bot.releases.images import version_of
from bot.releases.sighting import app_image


def show_traffic(context: Context, app: App) -> tuple[Table, ...]:
    seen = look_at(context, app)
    pods = {pod.uid: pod for pod in (*pods_of(seen.stable), *pods_of(seen.candidate))}
    tables = []
    for service in app.target.services:
        ready = [e for e in seen.endpoints if e.service == service and e.ready and not e.terminating]
        counts = Counter(version_of(app_image(pods[e.pod_uid], app.target.container)) if e.pod_uid in pods else "other pods" for e in ready)
        rows = tuple((version, str(count), f"{round(100 * count / len(ready))} %") for version, count in sorted(counts.items()))
        note = "" if ready else f"Service {service} has no ready endpoint"
        tables.append(Table(f"{app.target.app}: ready endpoints of {service}", ("VERSION", "ENDPOINTS", "SHARE"), rows, note))
        tables += _probed(context, app, service)
    if not tables:
        tables.append(Table(f"{app.target.app} has no Service", ("VERSION", "ENDPOINTS", "SHARE"), (), "nothing to share"))
    return tuple(tables)


def _probed(context: Context, app: App, service: str) -> list[Table]:
    probe = app.rules.probe
    if probe is None:
        return []
    cluster = context.clusters[app.target.cluster]
    tables = []
    for sticky in (False, True):
        answers = Counter(cluster.probe(app.target, service, probe.path, requests=probe.requests, sticky=sticky, url=probe.url))
        total = sum(answers.values())
        rows = tuple((answer[:80], str(n), f"{round(100 * n / total)} %") for answer, n in answers.most_common(20))
        how = "one client" if sticky else "a new client each time"
        tables.append(Table(f"{probe.path} of {service}, {total} requests, {how}", ("ANSWER", "REQUESTS", "SHARE"), rows))
    return tables
