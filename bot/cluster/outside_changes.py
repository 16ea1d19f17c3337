"""What somebody else changed at a Deployment or a Service, told from two of its states. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import orjson

from bot.cluster.managed_fields import writer_of
from bot.releases.facts.images import images_of
from bot.releases.facts.observation import CLAIM_ANNOTATION
from bot.releases.facts.outside_change import LastSeen, OutsideChange

OURS = frozenset({"pilothouse", "pilothouse-apply"})
TOLD_ABOUT = {
    "deployments": ("template", "replicas", "paused", "strategy", "selector"),
    "services": ("selector",),
}
_DELETION = 999_999
"""Above each generation of a Deployment within the same second of creation."""


def last_seen_of(resource: str, item: Mapping[str, Any], *, deleted: bool = False) -> LastSeen:
    spec = b"" if deleted else orjson.dumps(_told(resource, item), option=orjson.OPT_SORT_KEYS)
    order = _order_of(resource, item["metadata"], deleted=deleted)
    return LastSeen(item["metadata"]["uid"], order, spec.decode())


def _order_of(resource: str, meta: Mapping[str, Any], *, deleted: bool) -> int:
    """A Deployment is ordered by its creation and its generation: a status moves neither. A Service
    has no generation, and its resourceVersion rises also for what is made anew."""
    if resource == "services":
        version = str(meta.get("resourceVersion", ""))
        return int(version) if version.isdecimal() else 0
    created = datetime.fromisoformat(meta.get("creationTimestamp") or "1970-01-01T00:00:00Z")
    generation = _DELETION if deleted else int(meta.get("generation", 0))
    return int(created.timestamp()) * 1_000_000 + generation


def as_item(name: str, seen: LastSeen) -> dict[str, Any] | None:
    """The object, with what `outside_change_of` compares of it; None where it was deleted."""
    if not seen.spec:
        return None
    return {"metadata": {"name": name, "uid": seen.uid}, "spec": orjson.loads(seen.spec)}


def outside_change_of(
    before: Mapping[str, Any] | None,
    after: Mapping[str, Any] | None,
    resource: str = "deployments",
    *,
    missed: bool = False,
) -> OutsideChange | None:
    """What others changed between two states of an object; None for nothing that matters, and for
    the bot's own changes. ``before`` may be what ``as_item`` gives."""
    latest = after if after is not None else before
    assert latest is not None
    claim = (latest["metadata"].get("annotations") or {}).get(CLAIM_ANNOTATION, "")
    changed, writer = _changed(before, after, resource)
    if not changed or (after is None and claim):  # a claimed one is its release's to notice
        return None
    return OutsideChange(
        changed=changed,
        manager=writer,
        claim=claim,
        images_before=_images(before),
        images_after=_images(after),
        replicas_before=0 if before is None else before["spec"].get("replicas", 1),
        replicas_after=0 if after is None else after["spec"].get("replicas", 1),
        selector_before=_selector(before),
        selector_after=_selector(after),
        generation=0 if after is None else after["metadata"].get("generation", 0),
        order=_order_of(resource, latest["metadata"], deleted=after is None),
        missed=missed,
        labels=tuple(sorted((latest["metadata"].get("labels") or {}).items())),
    )


def _changed(
    before: Mapping[str, Any] | None, after: Mapping[str, Any] | None, resource: str
) -> tuple[tuple[str, ...], str]:
    """What was changed by others, and by whom; nobody signs a deletion."""
    if after is None:
        return ("deleted",), ""
    if before is None or before["metadata"]["uid"] != after["metadata"]["uid"]:
        manager = writer_of(before, after, ())
        return ((), "") if manager[0] in OURS else (("created",), _named(manager))
    was, now = _told(resource, before), _told(resource, after)
    sparse = "digest" in (before["spec"].get("template") or {})
    by = {
        key: writer_of(before, after, (key,), sparse=sparse)
        for key in TOLD_ABOUT[resource]
        if was.get(key) != now.get(key)
    }
    others = tuple(key for key, manager in by.items() if manager[0] not in OURS)
    by_all = writer_of(before, after, others, sparse=sparse) if others else ("", "")
    return others, _named(by_all)


def _named(manager: tuple[str, str]) -> str:
    name, subresource = manager
    return f"{name}, subresource {subresource}" if subresource else name


def _told(resource: str, item: Mapping[str, Any]) -> dict[str, Any]:
    """Small: a template is its images and a digest of the whole."""
    told = {key: item["spec"][key] for key in TOLD_ABOUT[resource] if key in item["spec"]}
    template = told.get("template")
    if template is not None and "digest" not in template:
        whole = orjson.dumps(template, option=orjson.OPT_SORT_KEYS)
        containers = [
            {key: one[key] for key in ("name", "image") if key in one}
            for one in (template.get("spec") or {}).get("containers") or ()
        ]
        told["template"] = {
            "digest": hashlib.sha256(whole).hexdigest(),
            "spec": {"containers": containers},
        }
    return told


def _images(item: Mapping[str, Any] | None) -> tuple[str, ...]:
    return () if item is None else images_of(item["spec"].get("template") or {})


def _selector(item: Mapping[str, Any] | None) -> tuple[str, ...]:
    """Of a Service; a Deployment's cannot change."""
    selector = {} if item is None else item["spec"].get("selector") or {}
    return tuple(
        f"{key}={value}" for key, value in sorted(selector.items()) if key != "matchLabels"
    )
