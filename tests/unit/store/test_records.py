"""The schema of what is written."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import orjson
import pytest

from bot.ports import UnknownSchema
from bot.releases.engine.decide import decide
from bot.releases.engine.respond import respond
from bot.releases.facts.changes import Reapply, Restart, Scale, Undo
from bot.releases.facts.observation import Unreachable
from bot.releases.facts.release import Phase, Release
from bot.releases.facts.requests import Pause
from bot.store import records
from tests.builders import DEVELOPER, SECOND, T0, a_release, a_template
from tests.transitions.ticks import half_rolled, rolling


@pytest.mark.parametrize(
    "change", [Scale(3), Restart(), Undo(2, a_template()), Undo(), Reapply(a_template())]
)
def test_every_kind_of_change_comes_back_as_itself(
    change: Scale | Restart | Undo | Reapply,
) -> None:
    release = replace(a_release(change), id="hello-1", version=7)
    assert records.load_release(records.dump_release(release), id="hello-1", version=7) == release


def test_the_id_and_version_beside_the_document_count() -> None:
    loaded = records.load_release(
        records.dump_release(a_release()), id="hello-42", version=9, card_ts="1.2"
    )
    assert (loaded.id, loaded.version, loaded.card_ts) == ("hello-42", 9, "1.2")


SAMPLES = sorted((Path(__file__).parent / "samples").glob("schema-*/*.json"))


def name_of(sample: Path) -> str:
    return f"{sample.parent.name}-{sample.stem}"


@pytest.mark.parametrize("sample", SAMPLES, ids=name_of)
def test_a_release_stored_by_an_older_version_is_read_and_continues(sample: Path) -> None:
    """Samples are never rewritten: any version that could migrate may have started a running
    release."""
    release = records.load_release(sample.read_bytes(), id="hello-42", version=3)
    assert release.phase.value in sample.stem
    decision = decide(release, Unreachable(release.created_at, "away"), release.created_at)
    assert decision.release.phase.is_final == release.phase.is_final
    written = records.dump_release(release)
    assert records.unpack(written)["schema_version"] == records.SCHEMA_VERSION
    assert records.load_release(written, id="hello-42", version=3) == release


def written_by_the_next_schema(release: Release) -> bytes:
    """Schema N+1 adds a field to the release, to a group in it, and to the items of two lists."""
    envelope = records.unpack(records.dump_release(release))
    body = envelope["release"]
    body["added"] = {"to": "the release"}
    body["progress"]["added"] = "to its progress"
    body["plan"]["steps"][0]["added"] = "to a step"
    for intent in body["intents"]:
        intent["added"] = f"to {intent['field']} of {intent['name']}"
    envelope |= {"schema_version": records.SCHEMA_VERSION + 1}
    return records.pack(orjson.dumps(envelope))


def test_a_record_of_the_next_schema_is_read_and_saved_without_losing_its_fields() -> None:
    release = rolling()
    newer = records.load_release(written_by_the_next_schema(release), id="hello-42", version=3)
    assert newer == replace(release, version=3)
    moved = decide(newer, half_rolled(new=2, new_ready=1), T0 + SECOND).release
    moved = respond(moved, Pause(DEVELOPER), T0 + 2 * SECOND).release
    envelope = records.unpack(records.dump_release(moved))
    body = envelope["release"]
    assert envelope["schema_version"] == records.SCHEMA_VERSION + 1
    assert body["phase"] == "paused", "what this version knows is its own"
    assert body["added"] == {"to": "the release"}
    assert body["progress"]["added"] == "to its progress"
    assert body["plan"]["steps"][0]["added"] == "to a step"
    kept = [intent.get("added") for intent in body["intents"]]
    assert [line for line in kept if line], "items of a list that did not change keep theirs"
    again = records.load_release(records.pack(orjson.dumps(envelope)), id="hello-42", version=3)
    assert again == moved


def test_a_record_says_the_oldest_schema_that_can_read_it() -> None:
    envelope = records.unpack(records.dump_release(a_release()))
    assert envelope["readable_by"] == records.READABLE_BY
    one_back = max(3, records.SCHEMA_VERSION - 1)  # schema 2 did not keep unknown fields
    assert 3 <= records.READABLE_BY <= one_back


def test_a_newer_record_that_this_schema_cannot_read_is_left_alone() -> None:
    number = records.SCHEMA_VERSION + 1
    envelope = {"schema_version": number, "readable_by": number, "release": {}}
    with pytest.raises(UnknownSchema, match="newer Pilothouse"):
        records.load_release(orjson.dumps(envelope), id="hello-42", version=3)


def test_there_is_a_sample_of_every_older_schema() -> None:
    schemas = {path.parent.name for path in SAMPLES}
    assert schemas == {f"schema-{number}" for number in range(1, records.SCHEMA_VERSION)}


@pytest.mark.parametrize("document", [b"", b"x\x9c nothing", b'{"schema_version"', b"\x00\x01"])
def test_a_document_that_is_damaged_or_of_no_known_form_is_refused(document: bytes) -> None:
    with pytest.raises(UnknownSchema, match="hello-1 cannot be read"):
        records.load_release(document, id="hello-1", version=1)


def test_a_document_takes_a_fraction_of_its_text() -> None:
    release = replace(
        a_release(Undo(2, {"spec": {"containers": [a_template()] * 30}})), id="hello-1"
    )
    assert len(records.dump_release(release)) < 0.2 * len(
        orjson.dumps(records.unpack(records.dump_release(release)))
    )


def test_an_older_record_is_migrated_step_by_step() -> None:
    envelope = {"schema_version": 1, "release": {"stage": "paused"}}
    migrations = {
        1: lambda body: {"state": body["stage"]},
        2: lambda body: {"phase": body["state"]},
    }
    body = records.migrate(envelope, "release hello-1", current=3, migrations=migrations)
    assert body == {"phase": Phase.PAUSED}


@pytest.mark.parametrize(
    "envelope",
    [{"schema_version": 2, "release": {}}, {"release": {}}, {"schema_version": "1", "release": {}}],
)
def test_a_schema_that_is_not_known_is_refused(envelope: dict[str, object]) -> None:
    with pytest.raises(UnknownSchema, match="hello-1"):
        records.migrate(envelope, "release hello-1", current=1)


def test_a_schema_too_old_to_be_migrated_is_refused() -> None:
    with pytest.raises(UnknownSchema, match="cannot read any more"):
        records.migrate(
            {"schema_version": 1, "release": {}}, "release hello-1", current=3, migrations={2: dict}
        )


def test_an_invalid_document_is_reported_with_the_place() -> None:
    with pytest.raises(UnknownSchema, match="hello-1 cannot be read: "):
        records.load_release(
            b'{"schema_version":1,"release":{"phase":"dancing"}}', id="hello-1", version=1
        )


def test_a_template_has_one_name_whatever_the_order_of_its_keys() -> None:
    assert records.template_hash({"a": 1, "b": {"c": 2, "d": 3}}) == records.template_hash(
        {"b": {"d": 3, "c": 2}, "a": 1}
    )
    assert records.template_hash({"a": 1}) != records.template_hash({"a": "1"})
