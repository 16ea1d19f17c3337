"""Records as other versions of Pilothouse write them, put into the store between two saves: during
an upgrade two versions work on the same releases."""

from __future__ import annotations

from typing import Any

import orjson

from bot.store import records

Body = dict[str, Any]
MARK = "of a newer version"
ADDED = {"added": {"by": MARK}}


def as_older(document: bytes) -> bytes:
    """As schema 2 wrote it, where that loses nothing; else as it is."""
    envelope = records.unpack(document)
    if envelope["schema_version"] != records.SCHEMA_VERSION:
        return document
    older = records.pack(orjson.dumps({"schema_version": 2, "release": _to_2(envelope["release"])}))
    return older if _read(older) == _read(document) else document


def as_newer(document: bytes) -> bytes:
    """As the next schema writes it: with a field that this one does not know."""
    envelope = records.unpack(records.dump_release(_read(document)))
    envelope["schema_version"] = records.SCHEMA_VERSION + 1
    envelope["readable_by"] = records.SCHEMA_VERSION
    envelope["release"] |= ADDED
    return records.pack(orjson.dumps(envelope))


def is_newer(document: bytes) -> bool:
    envelope = records.unpack(document)
    is_next = envelope["schema_version"] == records.SCHEMA_VERSION + 1
    added: object = envelope["release"].get("added")
    return is_next and added == ADDED["added"]


def _read(document: bytes) -> Any:
    return records.load_release(document, id="one", version=1)


def _to_2(body: Body) -> Body:
    """Against bot.store.records._from_2."""
    body = {**body, "sighting": body.pop("card_snapshot")}
    _roles((*body["sighting"]["versions"], *body["sighting"]["pods"]))
    progress, rollback = body.pop("progress"), body.pop("rollback")
    away, trouble = body.pop("unreachable"), progress["trouble"] or {}
    plan = body["plan"] or {}
    back = rollback["steps"] if rollback else []
    plan.pop("failed_candidate_to_zero", None)
    for step in (*plan.get("steps", ()), *back):
        step.pop("keeps_candidate", None)
        _roles(step["goals"])
        for gate in step["gates"]:
            gate.pop("is_rollback_window", None)
    for gate in plan.get("start", ()):
        gate.pop("role", None)
    return body | {
        "at_step": progress["at_step"],
        "step_began_at": progress["began_at"],
        "step_paused_ms": progress["paused_ms"],
        "gate": progress["gate"],
        "environment": trouble.get("cause"),
        "environment_since": trouble.get("since", 0),
        "environment_asked": trouble.get("asked", False),
        "probe_failure": progress["probe_failure"],
        "leg": "back" if rollback else "forward",
        "ends_as": rollback["ends_as"] if rollback else None,
        "back": back,
        "unreachable_since": away["since"] if away else 0,
        "unreachable_why": away["why"] if away else "",
    }


def _roles(items: Any) -> None:
    for item in items:
        if "side" in item:
            item["role"] = item.pop("side")
