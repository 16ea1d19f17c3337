"""How people try the candidate before the switch: a preview Service."""

from __future__ import annotations

from typing import Any

from bot.releases.facts.observation import CLAIM_ANNOTATION, ServiceSeen
from bot.releases.planning.draft import Draft
from bot.releases.planning.refusals import PlanRefused


def preview_for(draft: Draft, service: ServiceSeen, target: dict[str, str]) -> tuple[str, Any]:
    """(name, body) of a Service that selects the candidate's pods only. Raises PlanRefused."""
    name = f"{service.name}-preview"
    if len(name) > 63:
        raise PlanRefused(
            f"`{name}` is too long for the name of a Service. Set `preview: false` for"
            f" {draft.release.target.app}."
        )
    survey = draft.seen.survey
    if any(
        item.kind == "Service" and item.name == name
        for item in (survey.selecting if survey else ())
    ):
        raise PlanRefused(
            f"A Service {name} exists already. Remove it, or set `preview: false` for"
            f" {draft.release.target.app}."
        )
    kept = ("name", "protocol", "port", "targetPort", "appProtocol")
    ports = [{key: port[key] for key in kept if key in port} for port in list(service.ports)]
    body = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": name,
            "namespace": draft.release.target.namespace,
            "annotations": {CLAIM_ANNOTATION: draft.release.id},
        },
        "spec": {"type": "ClusterIP", "selector": target, "ports": ports},
    }
    return name, body
