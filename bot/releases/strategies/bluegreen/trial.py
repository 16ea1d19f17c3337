"""How the candidate is tried before the switch: a preview Service for people, and a probe."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bot.releases.facts.observation import CLAIM_ANNOTATION, ServiceSeen
from bot.releases.facts.plan import Probe
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


def probe_for(draft: Draft, service: ServiceSeen) -> Probe | None:
    """What every pod of the candidate is asked, on the port behind the Service's first one.

    None for a probe by URL: before the switch it would reach stable. Raises PlanRefused.
    """
    rules = draft.release.rules.probe
    if rules is None or rules.url is not None:
        return None
    first: Mapping[str, Any] = next(iter(service.ports), {})
    port = _container_port(draft, service, first)
    is_tls = "https" in (first.get("name"), first.get("appProtocol")) or first.get("port") == 443
    return Probe(rules.path, port, rules.requests, "https" if is_tls else "http")


def _container_port(draft: Draft, service: ServiceSeen, first: Mapping[str, Any]) -> int:
    wanted = first.get("targetPort") or first.get("port")
    if isinstance(wanted, int):
        return wanted
    containers = (draft.template.get("spec") or {}).get("containers") or ()
    for container in containers:
        for port in container.get("ports") or ():
            if port.get("name") == wanted:
                return int(port["containerPort"])
    raise PlanRefused(
        f"The probe has no port to ask: Service {service.name} names the port `{wanted or 'none'}`,"
        f" which no container has. Give a container that port, or remove `probe` of"
        f" {draft.release.target.app} from the catalog."
    )
