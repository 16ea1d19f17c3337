from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.cluster.patching import difference, holds, patch
from bot.releases.facts.actions import FieldChange
from bot.releases.facts.intent import Field
from sandbox.cluster.api_server.json_patch import PatchDoesNotApply, apply_json_patch

TEMPLATE: dict[str, Any] = {
    "metadata": {"labels": {"app": "hello"}},
    "spec": {
        "containers": [
            {"name": "hello", "image": "hello:1", "env": [{"name": "A", "value": "1"}]},
            {"name": "sidecar", "image": "auth:1"},
        ]
    },
}


def changed(**edits: str) -> dict[str, Any]:
    template = copy.deepcopy(TEMPLATE)
    template["spec"]["containers"][0].update(edits)
    return template


# The patched object: keys that JSON patch must escape, and values as deep as Kubernetes' are.
_keys = st.sampled_from(["a", "b", "name", "x/y", "t~z", "pilothouse.dev/release"])
_values = st.recursive(
    st.one_of(st.booleans(), st.integers(0, 3), st.sampled_from(["", "x", "y"])),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(_keys, inner, max_size=3)),
    max_leaves=12,
)
_objects = st.dictionaries(_keys, _values, max_size=4)


@given(_objects, _objects)
def test_the_difference_of_any_two_values_leads_from_one_to_the_other(
    before: dict[str, Any], after: dict[str, Any]
) -> None:
    operations = list(difference(before, after, ""))
    assert apply_json_patch(before, operations) == after
    assert bool(operations) == (_typed(before) != _typed(after))


def _typed(value: Any) -> Any:
    """True is not 1 to JSON, though it is to Python."""
    match value:
        case dict():
            return {key: _typed(one) for key, one in value.items()}
        case list():
            return [_typed(one) for one in value]
        case _:
            return (type(value).__name__, value)


@given(_objects, _objects, _objects)
def test_a_difference_applies_only_where_each_changed_leaf_is_as_it_was(
    before: dict[str, Any], after: dict[str, Any], found: dict[str, Any]
) -> None:
    """On another object it is refused, or what it meant to change was the same there."""
    operations = list(difference(before, after, ""))
    try:
        result = apply_json_patch(found, operations)
    except PatchDoesNotApply:
        return
    assert list(difference(result, apply_json_patch(result, []), "")) == []
    for operation in operations:
        if operation["op"] == "test":
            apply_json_patch(found, [operation])


def test_one_changed_image_is_one_write_bound_to_the_containers_name() -> None:
    assert list(difference(TEMPLATE, changed(image="hello:2"), "/spec/template")) == [
        {"op": "test", "path": "/spec/template/spec/containers/0/name", "value": "hello"},
        {"op": "test", "path": "/spec/template/spec/containers/0/image", "value": "hello:1"},
        {"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "hello:2"},
    ]


def test_every_patch_names_the_object_and_the_claim_first() -> None:
    operations = patch("u-1", (FieldChange(Field.REPLICAS, 2, 3),), claim="hello-1")
    assert operations == [
        {"op": "test", "path": "/metadata/uid", "value": "u-1"},
        {"op": "test", "path": "/metadata/annotations/pilothouse.dev~1release", "value": "hello-1"},
        {"op": "test", "path": "/spec/replicas", "value": 2},
        {"op": "replace", "path": "/spec/replicas", "value": 3},
    ]


def test_no_claim_is_tested_as_an_absent_annotation() -> None:
    assert {
        "op": "test",
        "path": "/metadata/annotations/pilothouse.dev~1release",
        "value": None,
    } in patch("u-1", (), claim="")


def test_where_there_are_no_annotations_they_are_made_only_when_one_is_written() -> None:
    claiming = patch("u-1", (FieldChange(Field.CLAIM, "", "hello-1"),), claim="", annotated=False)
    assert {"op": "add", "path": "/metadata/annotations", "value": {}} in claiming
    scaling = patch("u-1", (FieldChange(Field.REPLICAS, 2, 3),), claim="", annotated=False)
    assert not any(one["op"] == "add" for one in scaling)


def test_not_paused_is_absent_since_the_server_leaves_false_out() -> None:
    pausing = patch("u-1", (FieldChange(Field.PAUSED, False, True),), claim=None)[1:]
    assert pausing == [
        {"op": "test", "path": "/spec/paused", "value": None},
        {"op": "add", "path": "/spec/paused", "value": True},
    ]
    resuming = patch("u-1", (FieldChange(Field.PAUSED, True, False),), claim=None)[1:]
    assert resuming == [
        {"op": "test", "path": "/spec/paused", "value": True},
        {"op": "remove", "path": "/spec/paused"},
    ]


def test_a_change_cause_is_overwritten_freely_and_removed_only_as_observed() -> None:
    path = "/metadata/annotations/kubernetes.io~1change-cause"
    writing = patch("u-1", (FieldChange(Field.CHANGE_CAUSE, "old", "new"),), claim=None)[1:]
    assert writing == [{"op": "add", "path": path, "value": "new"}]
    removing = patch("u-1", (FieldChange(Field.CHANGE_CAUSE, "old", ""),), claim=None)[1:]
    assert removing == [
        {"op": "test", "path": path, "value": "old"},
        {"op": "remove", "path": path},
    ]


def test_existence_is_not_patched() -> None:
    with pytest.raises(ValueError, match="Create and Delete"):
        patch("u-1", (FieldChange(Field.EXISTS, False, True),), claim=None)


def test_an_affinity_without_a_config_holds_whatever_the_server_fills_in() -> None:
    service = {
        "metadata": {},
        "spec": {
            "sessionAffinity": "ClientIP",
            "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 10800}},
        },
    }
    assert holds(service, Field.AFFINITY, {"sessionAffinity": "ClientIP"})
    assert not holds(
        service, Field.AFFINITY, {"sessionAffinity": "ClientIP", "sessionAffinityConfig": None}
    )
