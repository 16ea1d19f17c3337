"""How the pods of a template end: who waits until proxies have followed, and what it costs where
nobody does.

A pod that is removed gets SIGTERM at the moment in which the proxies of the nodes hear of it. For
about a second they still send it requests, which an app that stops listening at once loses.
"""

from __future__ import annotations

import copy
from typing import Any

from bot.releases.planning.draft import Draft, app_container

SLEEPS_SINCE = (1, 30)
"""The version of Kubernetes that serves `preStop: {sleep}`. Source: KEP-3960. An older API server
refuses it or drops it."""
SLEEP_S = 5
"""Of a pod that a release removes: proxies have followed within a second or two."""
PROXIES_FOLLOW_MS = 1_000 * SLEEP_S
"""From the moment in which the endpoints say it: then no new request reaches who left them."""
DEFAULT_GRACE_S = 30
_LEAST_GRACE_S = 2


def drains(template: Any, container: str | None) -> bool:
    """Whether the app's container has a preStop hook. What the app itself does after SIGTERM is not
    in the template."""
    return any(
        "preStop" in (one.get("lifecycle") or {})
        for one in _containers(template)
        if container in (None, one.get("name"))
    )


def sleep_of(template: Any) -> int:
    """Seconds that its pods can sleep before SIGTERM and still end gracefully; 0 where the grace
    period leaves no time."""
    grace = grace_of(template)
    return min(SLEEP_S, grace // 2) if grace >= _LEAST_GRACE_S else 0


def grace_of(template: Any) -> int:
    given = (template.get("spec") or {}).get("terminationGracePeriodSeconds")
    return DEFAULT_GRACE_S if given is None else int(given)


def with_sleep(template: Any) -> Any:
    """Every container sleeps before its SIGTERM: a sidecar that ends first may be the app's way to
    the network."""
    result = copy.deepcopy(template)
    for one in _containers(result):
        lifecycle = one.setdefault("lifecycle", {})
        lifecycle.setdefault("preStop", {"sleep": {"seconds": sleep_of(template)}})
    return result


def for_pods_that_leave(draft: Draft) -> Any:
    """The new template for pods that the release itself removes later."""
    sleeps = _lacks_hook(draft) and not _too_old(draft) and sleep_of(draft.template)
    return with_sleep(draft.template) if sleeps else draft.template


def removal_notes(draft: Draft, candidate: str, *, also: str = "") -> tuple[str, ...]:
    """Of the candidate's pods, which the release creates and removes. ``also``: what stays."""
    name, seconds = draft.stable.name, sleep_of(draft.template)
    if not _lacks_hook(draft):
        return ()
    if not seconds:
        return (_no_grace(draft),)
    if too_old := _too_old(draft):
        return (
            (
                f"{name} has no preStop hook, and Kubernetes {too_old} of this cluster cannot let"
                f" pods sleep before they end ({_text(SLEEPS_SINCE)} can): each pod of {candidate}"
                " that leaves may lose requests for up to a second"
            ),
        )
    return (
        (
            f"{name} has no preStop hook, so pods of {candidate} get one that sleeps {seconds} s:"
            f" they leave without losing a request{also}"
        ),
    )


def replacement_notes(draft: Draft) -> tuple[str, ...]:
    """Of pods that a roll replaces."""
    if not _lacks_hook(draft):
        return ()
    if not sleep_of(draft.template):
        return (_no_grace(draft),)
    return (
        (
            f"{draft.stable.name} has no preStop hook: unless the app keeps serving for some"
            " seconds after SIGTERM, each pod that is replaced may lose requests for up to a second"
        ),
    )


def _no_grace(draft: Draft) -> str:
    return (
        f"{draft.stable.name} has a terminationGracePeriodSeconds of {grace_of(draft.template)}:"
        " each pod that is removed loses the requests that it is serving"
    )


def _too_old(draft: Draft) -> str:
    """The cluster's version where its pods cannot sleep before they end, else "". One that is not
    known counts as supported."""
    survey = draft.seen.survey
    version = survey.kubernetes if survey is not None else None
    return _text(version) if version is not None and version < SLEEPS_SINCE else ""


def _text(version: tuple[int, int]) -> str:
    return ".".join(map(str, version))


def _lacks_hook(draft: Draft) -> bool:
    return not drains(draft.template, app_container(draft.release, draft.template))


def _containers(template: Any) -> list[Any]:
    return list((template.get("spec") or {}).get("containers") or ())
