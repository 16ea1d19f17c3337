"""What is written: JSON with a schema version, read back through pydantic into the frozen
dataclasses of bot.releases.

A release holds the same pod template several times, so its document is compressed: a fifth of the
memory for a third of a millisecond. Documents of schema 1 were plain JSON.

A record of an older schema is migrated on the way in and written anew by its next save. One of a
newer schema says which is the oldest that can read it (``readable_by``): from there on its unknown
fields are kept and written back, so that an upgrade can be rolled back; below, the record is left
alone. See docs/decisions/0003-record-schemas.md.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import orjson
from pydantic import TypeAdapter, ValidationError

from bot.policy.automation import AutomationLock
from bot.policy.freezes import Freeze
from bot.ports import Announcement, UnknownSchema
from bot.releases.facts.events import Event
from bot.releases.facts.release import GateState, Release
from bot.store.newer_records import with_unknown_fields

SCHEMA_VERSION = 3
READABLE_BY = 3
"""The oldest schema whose code can read what is written now: at least one back, so that an upgrade
can be rolled back. Schema 3 is the first that keeps unknown fields, and so the first that can."""
FASTEST = 1
JsonDocument = dict[str, Any]


def _sides(items: Any) -> None:
    """``role`` became ``side``: a role is what a person has."""
    for item in items or ():
        if "role" in item:
            item["side"] = item.pop("role")


def _from_2(body: JsonDocument) -> JsonDocument:
    snapshot = body.pop("sighting", None)
    if snapshot is not None:
        _sides(snapshot.get("versions"))
        _sides(snapshot.get("pods"))
        body["card_snapshot"] = snapshot
    plan = body.get("plan") or {}
    for step in (*plan.get("steps", ()), *body.get("back", ())):
        _sides(step["goals"])
    _tell_strategies_apart(body, plan)
    return body | _grouped(body)


def _tell_strategies_apart(body: JsonDocument, plan: JsonDocument) -> None:
    """What schema 2 knew by the names of gates, steps and strategies is data since schema 3."""
    if plan:
        plan["failed_candidate_to_zero"] = body["change"].get("strategy") == "canary"
    for step in (*plan.get("steps", ()), *body.get("back", ())):
        step["keeps_candidate"] = step["name"] == "green stays"
        for gate in step["gates"]:
            if gate["kind"] == "hold":
                gate["is_rollback_window"] = gate["name"] == "window"
    for gate in plan.get("start", ()):
        gate["role"] = "deployer" if gate["name"] == "downtime" else "approver"


def _grouped(body: JsonDocument) -> JsonDocument:
    """The fields of schema 2 that stand in groups since schema 3."""
    trouble, away = body.get("environment"), body.get("unreachable_since")
    return {
        "progress": {
            "at_step": body.get("at_step", 0),
            "began_at": body.get("step_began_at", 0),
            "paused_ms": body.get("step_paused_ms", 0),
            "gate": body.get("gate"),
            "trouble": trouble
            and {
                "cause": trouble,
                "since": body.get("environment_since", 0),
                "asked": body.get("environment_asked", False),
            },
            "probe_failure": body.get("probe_failure", ""),
        },
        "rollback": {
            "ends_as": body.get("ends_as") or "aborted",
            "steps": body.get("back", ()),
        }
        if body.get("leg") == "back"
        else None,
        "unreachable": {"since": away, "why": body.get("unreachable_why", "")} if away else None,
    }


MIGRATIONS: Mapping[int, Callable[[JsonDocument], JsonDocument]] = {
    1: lambda body: body,
    2: _from_2,
}
"""From the schema version that is the key to the next one. A field that is added with a default
needs none."""

_RELEASE: TypeAdapter[Release] = TypeAdapter(Release)
_NOT_WRITTEN = {"newer_record"}
_EVENT: TypeAdapter[Event] = TypeAdapter(Event)
_FREEZE: TypeAdapter[Freeze] = TypeAdapter(Freeze)
_LOCKS: TypeAdapter[tuple[AutomationLock, ...]] = TypeAdapter(tuple[AutomationLock, ...])


def dump_release(release: Release) -> bytes:
    envelope = release.newer_record
    if envelope is None:
        body = _RELEASE.dump_json(release, exclude=_NOT_WRITTEN)
        return pack(
            b'{"schema_version":%d,"readable_by":%d,"release":%b}'
            % (SCHEMA_VERSION, READABLE_BY, body)
        )
    theirs = envelope["release"]
    body = with_unknown_fields(
        _plain(release), theirs=theirs, known=_plain(_RELEASE.validate_python(theirs))
    )
    return pack(orjson.dumps({**envelope, "release": body}))


def _plain(release: Release) -> JsonDocument:
    plain: JsonDocument = _RELEASE.dump_python(release, mode="json", exclude=_NOT_WRITTEN)
    return plain


def pack(text: bytes) -> bytes:
    return zlib.compress(text, FASTEST)


def unpack(document: bytes) -> Any:
    """Raises ValueError for what is neither JSON nor compressed JSON."""
    try:
        return orjson.loads(document if document.startswith(b"{") else zlib.decompress(document))
    except zlib.error as error:
        raise ValueError(str(error)) from error


def load_release(document: bytes, *, id: str, version: int, card_ts: str = "") -> Release:  # noqa: A002 — the field's name
    """``id``, ``version`` and ``card_ts`` are kept beside the document, where the scripts can see
    them. Raises UnknownSchema."""
    try:
        envelope = unpack(document)
    except ValueError as error:
        raise UnknownSchema(f"release {id} cannot be read: {error}") from error
    body = migrate(envelope, f"release {id}")
    body |= {"id": id, "version": version}
    if envelope["schema_version"] > SCHEMA_VERSION:
        body["newer_record"] = envelope
    if card_ts:
        body["card_ts"] = card_ts
    try:
        return _RELEASE.validate_python(body)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise UnknownSchema(f"release {id} cannot be read: {where}: {first['msg']}") from error


def migrate(
    envelope: Mapping[str, Any],
    what: str,
    *,
    current: int = SCHEMA_VERSION,
    migrations: Mapping[int, Callable[[JsonDocument], JsonDocument]] = MIGRATIONS,
) -> JsonDocument:
    """The release's body in the current schema, or in a newer one that this code can read. Raises
    UnknownSchema for one that is too new, or too old to be migrated."""
    version = envelope.get("schema_version")
    readable_by = envelope.get("readable_by", version)
    if not isinstance(version, int) or not isinstance(readable_by, int):
        raise UnknownSchema(f"{what} has no schema version that this Pilothouse knows")
    if version > current and readable_by > current:
        raise UnknownSchema(
            f"{what} was written by a newer Pilothouse (schema {version}, this one reads"
            f" {current}): upgrade"
        )
    body: JsonDocument = dict(envelope["release"])
    for step in range(version, current):
        if step not in migrations:
            raise UnknownSchema(
                f"{what} has schema {version}, which this Pilothouse cannot read any more"
            )
        body = migrations[step](body)
    return body


def without_names(release: Release) -> Release:
    """Ids stay, since permissions and the record rest on them; what people are called goes."""

    def nameless(gate: GateState) -> GateState:
        return replace(
            gate, votes=tuple(replace(vote, by=replace(vote.by, name="")) for vote in gate.votes)
        )

    gate = release.progress.gate
    return replace(
        release,
        requested_by=replace(release.requested_by, name=""),
        changed_by=replace(release.changed_by, name="") if release.changed_by else None,
        progress=replace(release.progress, gate=nameless(gate) if gate else None),
    )


def dump_event(event: Event) -> bytes:
    return _EVENT.dump_json(event)


def load_announcement(entry: bytes) -> Announcement:
    """An outbox entry is its sequence, a blank, and the event: equal events stay two."""
    sequence, _, event = entry.partition(b" ")
    return Announcement(int(sequence), _EVENT.validate_json(event))


def dump_freeze(freeze: Freeze) -> bytes:
    return _FREEZE.dump_json(freeze)


def load_freeze(entry: bytes) -> Freeze:
    return _FREEZE.validate_json(entry)


def dump_automation_locks(locks: tuple[AutomationLock, ...]) -> bytes:
    return _LOCKS.dump_json(locks) if locks else b""


def load_automation_locks(entry: bytes | None) -> tuple[AutomationLock, ...]:
    return _LOCKS.validate_json(entry) if entry else ()


def template_hash(template: Any) -> str:
    """Names a template whatever the order of its keys."""
    return hashlib.sha256(orjson.dumps(template, option=orjson.OPT_SORT_KEYS)).hexdigest()[:32]
