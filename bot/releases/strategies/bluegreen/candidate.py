"""Green: who may not have one, and how it is derived from stable. Every refusal is one line that
says what to do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bot.releases.assess.intents import CAUSE_ANNOTATION, CLAIM_ANNOTATION
from bot.releases.assess.rollout import pods_of
from bot.releases.assess.selectors import matches, selects
from bot.releases.facts.as_found import DeploymentAsFound
from bot.releases.facts.images import version_of
from bot.releases.facts.observation import DeploymentSeen, Observation, ServiceSeen
from bot.releases.facts.plan import Probe
from bot.releases.facts.release import Release
from bot.releases.facts.target import Strategy, default_candidate_name
from bot.releases.planning.candidate import refuse_second_copy
from bot.releases.planning.capacity import fence_posts
from bot.releases.planning.draft import Draft, running_image
from bot.releases.planning.quotas import shortages
from bot.releases.planning.refusals import PlanRefused, is_tracking_label, managed_elsewhere
from bot.releases.strategies.bluegreen.selector_keys import HASH_LABEL, choose_key, is_label_value

COLOR_LABEL = "pilothouse.dev/color"
"""In the selector and the pods of a green that a release made: its selector never matches a pod of
stable, whatever the labels."""


def labels_of(template: Any) -> dict[str, str]:
    return dict(template.get("metadata", {}).get("labels") or {})


def app_services(release: Release, seen: Observation) -> tuple[ServiceSeen, ...]:
    """The app's Services in the catalog's order, which is the order of the switch."""
    found = {service.name: service for service in seen.services}
    return tuple(found[name] for name in release.target.services if name in found)


# --- what cannot be released that way -------------------------------------------------------------


def refuse_blue_green(draft: Draft) -> tuple[ServiceSeen, ...]:
    """Every reason not to start, one clear line each; returns the app's Services."""
    release, stable = draft.release, draft.stable
    app = release.target.app
    services = app_services(release, draft.seen)
    if not services:
        raise PlanRefused(
            f"{app} has no Service to switch: name it as `service:` in the catalog, or deploy it"
            " rolling"
        )
    pods = labels_of(stable.template)
    for service in services:
        if not service.selector:
            raise PlanRefused(
                f"Service {service.name} has no selector, so there is nothing to switch: deploy"
                f" {app} rolling"
            )
        if HASH_LABEL not in service.selector and not selects(service.selector, pods):
            raise PlanRefused(
                f"Service {service.name} does not select {stable.name}'s pods (its selector:"
                f" {_text(service.selector)})"
            )
        others = _other_pods(service, draft)
        if others:
            raise PlanRefused(
                f"Service {service.name} also selects pods of {', '.join(others)}: narrow its"
                f" selector to {app} alone first"
            )
        who = managed_elsewhere(service, ("spec.selector",))
        if who and release.rules.managed_elsewhere == "refuse":
            raise PlanRefused(
                f"Service {service.name} is managed elsewhere: {who} would take the switch back; "
                f"change it there, or set `managed_elsewhere: warn` for {app}"
            )
    refuse_second_copy(draft, "blue and green")
    label = release.target.version_label
    if label and not is_label_value(draft.version):
        raise PlanRefused(
            f"`{draft.version}` cannot be the value of the label {label}: use a shorter tag of"
            " letters and digits"
        )
    return services


def _other_pods(service: ServiceSeen, draft: Draft) -> tuple[str, ...]:
    """Who else's pods the Service selects: Deployments by their selectors, and endpoints that are
    nobody's we know."""
    pair = (draft.stable, draft.seen.candidate)
    names = {item.name for item in pair if item is not None}
    survey = draft.seen.survey
    others = [
        f"Deployment {item.name}"
        for item in (survey.selecting if survey else ())
        if item.kind == "Deployment"
        and item.name not in names
        and selects(service.selector, item.selector.get("matchLabels") or {})
    ]
    known = {pod.uid for item in pair for pod in pods_of(item)}
    others += [
        f"pod {endpoint.pod}"
        for endpoint in draft.seen.endpoints
        if endpoint.service == service.name
        and endpoint.ready
        and not endpoint.terminating
        and endpoint.pod_uid
        and endpoint.pod_uid not in known
    ]
    return (
        tuple(dict.fromkeys(others))
        if not any(o.startswith("Deployment") for o in others)
        else tuple(dict.fromkeys(o for o in others if o.startswith("Deployment")))
    )


def _text(labels: Mapping[str, str]) -> str:
    return ", ".join(f"{key}={value}" for key, value in sorted(labels.items()))


# --- the green one --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Green:
    """The candidate: made by the release (``body``), or there already (``template`` None: adopted
    as it is)."""

    name: str
    labels: dict[str, str]
    body: Any = None
    template: Any = None
    replicas: int = 0
    note: str = ""


def green_for(draft: Draft, services: tuple[ServiceSeen, ...], *, keeps: bool) -> Green:
    name = default_candidate_name(draft.release.target, Strategy.BLUEGREEN)
    there = draft.seen.candidate
    if there is None:
        return _made(draft, services, name)
    where = f"kubectl -n {draft.release.target.namespace} delete deployment {there.name}"
    if there.terminating:
        raise PlanRefused(f"{there.name} is just being deleted: try again in a moment")
    if there.claim and there.claim != draft.release.id:
        raise PlanRefused(
            f"{there.name} is left over from release {there.claim}: remove it with {where}"
        )
    image = running_image(there.template, draft.release)
    replicas = max(draft.stable.replicas, there.replicas)
    if image == draft.image:
        note = f"{there.name} already runs {draft.version}: it is adopted as it is"
        return Green(there.name, labels_of(there.template), None, None, replicas, note)
    if not keeps:
        raise PlanRefused(
            f"{there.name} runs {version_of(image)} and belongs to no release: deploy"
            f" {version_of(image)} to adopt it, or remove it with {where}"
        )
    labels = _labels_for(draft, services, there)
    if not matches(there.selector, labels):
        raise PlanRefused(
            f"{there.name} cannot take {draft.version}: its own selector"
            f" ({_text(there.selector.get('matchLabels') or {})}) is fixed; remove it with {where}"
            " and a fresh one is made"
        )
    template = with_labels(draft.template, labels)
    # nobody is on it: as many as serve now are wanted, also where it was left larger
    replicas = draft.stable.replicas
    return Green(
        there.name,
        labels,
        None,
        template,
        replicas,
        f"{there.name} is there already and takes {draft.version}",
    )


def _labels_for(
    draft: Draft, services: tuple[ServiceSeen, ...], there: DeploymentSeen
) -> dict[str, str]:
    """The new template's labels on the idle Deployment of a kept pair: what tells the two apart
    stays its own."""
    version_label = draft.release.target.version_label
    own = labels_of(there.template)
    labels = labels_of(draft.template)
    labels.pop(COLOR_LABEL, None)
    telling = {
        key
        for service in services
        for key in service.selector
        if key != version_label and key in own
    }
    fixed = {key for key in there.selector.get("matchLabels") or {} if key != version_label}
    return {**labels, **{key: own[key] for key in sorted(telling | fixed) if key in own}}


def with_labels(template: Any, labels: dict[str, str]) -> Any:
    return {**template, "metadata": {**template.get("metadata", {}), "labels": labels}}


def _made(draft: Draft, services: tuple[ServiceSeen, ...], name: str) -> Green:
    """Derived from stable; inert until it is made live: replicas 0 and claimed."""
    release, stable = draft.release, draft.stable
    survey = draft.seen.survey
    if any(
        item.kind == "Deployment" and item.name == name
        for item in (survey.selecting if survey else ())
    ):
        raise PlanRefused(
            f"there is a Deployment {name} already, which is not this app's candidate: rename one"
            " of the two"
        )
    other = choose_key(
        [service.selector for service in services],
        labels_of(stable.template),
        draft.template,
        survey,
        version_label=release.target.version_label,
    )
    labels = {**labels_of(draft.template), other.key: other.value, COLOR_LABEL: "green"}
    fixed = {
        key
        for key in stable.selector.get("matchLabels") or {}
        if key != release.target.version_label
    }
    selector = {key: labels[key] for key in sorted(fixed | {COLOR_LABEL}) if key in labels}
    template = with_labels(draft.template, labels)
    body: dict[str, Any] = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": name,
            "namespace": release.target.namespace,
            "labels": {key: value for key, value in labels.items() if not is_tracking_label(key)},
            "annotations": {CLAIM_ANNOTATION: release.id, CAUSE_ANNOTATION: draft.cause},
        },
        "spec": {
            "replicas": 0,
            "selector": {"matchLabels": selector},
            "template": template,
            "strategy": stable.strategy,
            "minReadySeconds": stable.min_ready_seconds,
            "progressDeadlineSeconds": stable.progress_deadline_seconds,
        },
    }
    return Green(name, labels, body, template, stable.replicas)


def body_as_found(found: DeploymentAsFound, release: Release) -> dict[str, Any]:
    """An adopted green that went at the end of a release which is then taken back: made again,
    inert."""
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": found.name,
            "namespace": release.target.namespace,
            "labels": found.labels,
            "annotations": {**found.annotations, CLAIM_ANNOTATION: release.id},
        },
        "spec": {
            "replicas": 0,
            "selector": found.selector,
            "template": found.template,
            "strategy": found.strategy,
            "minReadySeconds": found.min_ready_seconds,
            "progressDeadlineSeconds": found.progress_deadline_seconds,
        },
    }


def refuse_quota(draft: Draft, green: Green, preview: str, *, keeps: bool) -> None:
    survey = draft.seen.survey
    there = draft.seen.candidate.replicas if draft.seen.candidate else 0
    surge, unavailable = fence_posts(draft.stable)
    settling = surge if not keeps and unavailable == 0 else 0
    made = {"deployments": 1} if green.body is not None else {}
    if preview:
        made["services"] = 1
    short = shortages(
        survey.quotas if survey else (), draft.template, green.replicas - there + settling, **made
    )
    if short:
        size = f"{draft.stable.replicas} + {green.replicas} pods" + (
            f", {settling} more to settle" if settling else ""
        )
        raise PlanRefused(f"no room for blue and green side by side ({size}): {'; '.join(short)}")


def preview_for(draft: Draft, service: ServiceSeen, target: dict[str, str]) -> tuple[str, Any]:
    """(name, body) of the Service by which green can be tried before anybody is sent there."""
    name = f"{service.name}-preview"
    if len(name) > 63:
        raise PlanRefused(
            f"`{name}` is too long for a Service: set `preview: false` for"
            f" {draft.release.target.app}"
        )
    survey = draft.seen.survey
    if any(
        item.kind == "Service" and item.name == name
        for item in (survey.selecting if survey else ())
    ):
        raise PlanRefused(f"there is a Service {name} already: remove it, or set `preview: false`")
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
    """What every pod of green is asked before the switch, on the port behind the Service's first
    one. A probe by a URL asks whoever serves: that cannot be green yet.
    """
    rules = draft.release.rules.probe
    if rules is None or rules.url is not None:
        return None
    first: Mapping[str, Any] = next(iter(service.ports), {})
    wanted = first.get("targetPort") or first.get("port")
    if not isinstance(wanted, int):
        spec = draft.template.get("spec") or {}
        ports = (
            port
            for container in spec.get("containers") or ()
            for port in container.get("ports") or ()
        )
        found = next((port["containerPort"] for port in ports if port.get("name") == wanted), None)
        if found is None:
            raise PlanRefused(
                f"the probe has no port to ask: Service {service.name} names the port"
                f" `{wanted or 'none'}`, which no container has; name one, or take `probe` of"
                f" {draft.release.target.app} out of the catalog"
            )
        wanted = found
    is_tls = "https" in (first.get("name"), first.get("appProtocol")) or first.get("port") == 443
    return Probe(rules.path, wanted, rules.requests, "https" if is_tls else "http")


def selector_on(
    selector: Mapping[str, str], labels: Mapping[str, str], service: ServiceSeen, name: str
) -> dict[str, str]:
    """The Service's selector with green's values: green's pods and not blue's."""
    missing = [key for key in selector if key not in labels]
    if missing:
        raise PlanRefused(
            f"pods of {name} have no label {missing[0]}, by which Service {service.name} selects:"
            " add it"
        )
    target = {key: labels[key] for key in selector}
    if target == dict(selector):
        raise PlanRefused(
            f"Service {service.name} selects pods of {name} already ({_text(selector)}): add a key"
            f" to its selector that tells the two apart, or remove {name}"
        )
    return target


def selector_at_the_end(service: ServiceSeen, draft: Draft) -> dict[str, str]:
    labels = labels_of(draft.template)
    return {key: labels.get(key, value) for key, value in service.selector.items()}


def refuse_capture(draft: Draft, green: Green) -> None:
    """Another app's Service must not begin to select green's pods, nor another Deployment's
    selector match them."""
    survey = draft.seen.survey
    blue = labels_of(draft.stable.template)
    for item in survey.selecting if survey else ():
        if (
            item.kind in ("Service", "Deployment")
            and matches(item.selector, green.labels)
            and not matches(item.selector, blue)
        ):
            raise PlanRefused(
                f"{item.kind} {item.name} would select green's pods ({_text(green.labels)}): change"
                " its selector first"
            )
