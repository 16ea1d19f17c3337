"""CDEvents 0.4.1 in structured CloudEvents: a release is a pipeline run, and its end changes a
service (https://cdevents.dev)."""

from __future__ import annotations

import base64
import hmac
import time
from collections.abc import Iterator
from hashlib import sha256
from typing import Any
from urllib.parse import quote

import orjson

from bot.ports import Happened, Receiver
from bot.receivers.transport import call
from bot.releases.facts.ages import moment
from bot.releases.facts.changes import Deploy
from bot.releases.facts.release import Phase, Release

SPEC = "0.4.1"
OUTCOMES = {
    Phase.SUCCEEDED: "success",
    Phase.FAILED: "failure",
    Phase.ROLLED_BACK: "failure",
}
"""A release that people stopped was cancelled."""


def send(receiver: Receiver, secret: str, happened: Happened, part: int) -> bool:
    """Each event is a part of its own: one that failed keeps none before it from being done."""
    events = list(events_of(happened))
    for event in events[part : part + 1]:
        body = orjson.dumps(event)
        headers = {"Content-Type": "application/cloudevents+json; charset=UTF-8"}
        call("POST", receiver.url, {**headers, **_signature(secret, event["id"], body)}, body)
    return part + 1 < len(events)


def _signature(secret: str, event_id: str, body: bytes) -> dict[str, str]:
    """As Standard Webhooks sign: over id, time and body, so that neither can be exchanged."""
    stamp = str(int(time.time()))
    headers = {"webhook-id": event_id, "webhook-timestamp": stamp}
    if secret:
        digest = hmac.digest(secret.encode(), f"{event_id}.{stamp}.".encode() + body, sha256)
        headers["webhook-signature"] = f"v1,{base64.b64encode(digest).decode()}"
    return headers


def events_of(happened: Happened) -> Iterator[dict[str, Any]]:
    """Their ids stay the same however often they are sent."""
    release = happened.release
    match happened.line.kind:
        case "created":
            yield _run(happened, "queued", {"pipelineName": release.target.label})
        case "planned":
            content = {"pipelineName": release.target.label, "url": happened.address}
            yield _run(happened, "started", content)
        case "finished":
            outcome = OUTCOMES.get(release.phase, "cancel")
            content = {"pipelineName": release.target.label, "outcome": outcome}
            if outcome != "success":
                content["errors"] = happened.line.text
            yield _run(happened, "finished", content)
            yield from _service(happened)
        case _:
            pass


def _run(happened: Happened, what: str, content: dict[str, str]) -> dict[str, Any]:
    subject = {"id": happened.release.id, "type": "pipelineRun", "content": content}
    return _event(happened, f"dev.cdevents.pipelinerun.{what}.0.2.0", subject)


def _service(happened: Happened) -> Iterator[dict[str, Any]]:
    release = happened.release
    if release.phase is Phase.SUCCEEDED and isinstance(release.change, Deploy):
        what, image = "upgraded", release.plan.image if release.plan else ""
    elif release.rollback is not None:
        what, image = "rolledback", release.plan.from_image if release.plan else ""
    else:
        return
    content = {
        "environment": {"id": f"{release.target.cluster}/{release.target.namespace}"},
        "artifactId": package_url(image),
    }
    subject = {"id": release.target.app, "type": "service", "content": content}
    yield _event(happened, f"dev.cdevents.service.{what}.0.2.0", subject)


def package_url(image: str) -> str:
    """
    >>> package_url("registry.example.com/team/shop:2.0.0")
    'pkg:oci/shop?repository_url=registry.example.com%2Fteam%2Fshop&tag=2.0.0'
    """
    image, _, digest = image.partition("@")
    repository, colon, tag = image.rpartition(":")
    if not colon or "/" in tag:
        repository, tag = image, ""
    name = repository.rpartition("/")[2]
    version = f"@{quote(digest, safe='')}" if digest else ""
    tagged = f"&tag={quote(tag, safe='')}" if tag else ""
    return f"pkg:oci/{name}{version}?repository_url={quote(repository, safe='')}{tagged}"


def _event(happened: Happened, kind: str, subject: dict[str, Any]) -> dict[str, Any]:
    """A CDEvent within a CloudEvent; both have the same id, source, type and time."""
    what = kind.split(".")[3]  # dev.cdevents.service.upgraded.0.2.0
    name = f"{happened.release.id}/{happened.place}/{what}"
    source, at = _source(happened.release), moment(happened.line.at)
    context = {"version": SPEC, "id": name, "source": source, "type": kind, "timestamp": at}
    return {
        "specversion": "1.0",
        "id": name,
        "source": source,
        "type": kind,
        "subject": str(subject["id"]),
        "time": at,
        "datacontenttype": "application/json",
        "data": {"context": context, "subject": {**subject, "source": source}},
    }


def _source(release: Release) -> str:
    return f"/pilothouse/{release.target.cluster}"
