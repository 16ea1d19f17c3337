"""Lists in chunks, selectors, watches with restarts, bookmarks and transitions of selectors."""

from __future__ import annotations

import json

import pytest

from tests.contracts.cluster_api.server import MERGE, Json, Namespace, wait_for


def config_map(name: str, **labels: str) -> Json:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "labels": labels},
        "data": {"a": "1"},
    }


def names(items: list[Json]) -> list[str]:
    return [item["metadata"]["name"] for item in items]


def test_a_list_comes_in_chunks_that_together_hold_everything_once(namespace: Namespace) -> None:
    for number in range(7):
        namespace.made("configmaps", config_map(f"map-{number}"))
    first = namespace.listing("configmaps", limit="3")
    assert names(first["items"]) == ["map-0", "map-1", "map-2"]
    assert first["metadata"]["remainingItemCount"] == 4
    second = namespace.listing(
        "configmaps", limit="3", **{"continue": first["metadata"]["continue"]}
    )
    assert second["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]
    third = namespace.listing(
        "configmaps", limit="3", **{"continue": second["metadata"]["continue"]}
    )
    assert names(second["items"]) + names(third["items"]) == ["map-3", "map-4", "map-5", "map-6"]
    assert not third["metadata"].get("continue")


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ("app=a", ["one", "two"]),
        ("app!=a", ["four", "three"]),
        ("app in (a, b),track", ["three", "two"]),
        ("app notin (a)", ["four", "three"]),
        ("!track", ["four", "one"]),
        ("app==a,track=canary", ["two"]),
    ],
)
def test_label_selectors(namespace: Namespace, selector: str, expected: list[str]) -> None:
    namespace.made("configmaps", config_map("one", app="a"))
    namespace.made("configmaps", config_map("two", app="a", track="canary"))
    namespace.made("configmaps", config_map("three", app="b", track="stable"))
    namespace.made("configmaps", config_map("four"))
    assert names(namespace.items("configmaps", labelSelector=selector)) == expected


def test_field_selectors_by_name_and_by_involved_object(namespace: Namespace) -> None:
    namespace.made("configmaps", config_map("one"))
    namespace.made("configmaps", config_map("two"))
    assert names(namespace.items("configmaps", fieldSelector="metadata.name=two")) == ["two"]
    assert names(namespace.items("configmaps", fieldSelector="metadata.name!=two")) == ["one"]
    for target in ("one", "two"):
        event = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": f"about-{target}"},
            "involvedObject": {
                "kind": "ConfigMap",
                "name": target,
                "namespace": namespace.name,
                "apiVersion": "v1",
            },
            "reason": "Seen",
            "message": "seen",
            "type": "Normal",
        }
        namespace.made("events", event)
    selector = "involvedObject.kind=ConfigMap,involvedObject.name=one"
    assert names(namespace.items("events", fieldSelector=selector)) == ["about-one"]


def test_items_of_a_list_carry_no_kind_and_the_list_does(namespace: Namespace) -> None:
    namespace.made("configmaps", config_map("one"))
    found = namespace.listing("configmaps")
    assert (found["kind"], found["apiVersion"]) == ("ConfigMapList", "v1")
    assert "kind" not in found["items"][0]


def test_a_watch_from_the_version_of_a_list_misses_nothing_and_repeats_nothing(
    namespace: Namespace,
) -> None:
    namespace.made("configmaps", config_map("before"))
    version = namespace.listing("configmaps")["metadata"]["resourceVersion"]
    namespace.made("configmaps", config_map("one"))
    namespace.patched("configmaps", "one", MERGE, {"data": {"a": "2"}})
    namespace.delete("configmaps", "one")
    seen = []
    for event in namespace.watch("configmaps", version, fieldSelector="metadata.name=one"):
        seen.append((event["type"], event["object"]["data"]["a"]))
        if event["type"] == "DELETED":
            assert event["object"]["kind"] == "ConfigMap"
            break
    assert seen == [("ADDED", "1"), ("MODIFIED", "2"), ("DELETED", "2")]


def test_a_restarted_watch_continues_after_the_last_version(namespace: Namespace) -> None:
    version = namespace.listing("configmaps")["metadata"]["resourceVersion"]
    namespace.made("configmaps", config_map("one"))
    first = next(namespace.watch("configmaps", version))
    namespace.made("configmaps", config_map("two"))
    second = next(namespace.watch("configmaps", first["object"]["metadata"]["resourceVersion"]))
    assert (first["object"]["metadata"]["name"], second["object"]["metadata"]["name"]) == (
        "one",
        "two",
    )
    assert int(second["object"]["metadata"]["resourceVersion"]) > int(
        first["object"]["metadata"]["resourceVersion"]
    )


def test_a_watch_deletes_what_leaves_the_selection_and_adds_it_when_it_returns(
    namespace: Namespace,
) -> None:
    namespace.made("configmaps", config_map("one", app="a"))
    version = namespace.listing("configmaps")["metadata"]["resourceVersion"]
    namespace.patched("configmaps", "one", MERGE, {"metadata": {"labels": {"app": "b"}}})
    namespace.patched("configmaps", "one", MERGE, {"metadata": {"labels": {"app": "a"}}})
    events = namespace.watch("configmaps", version, labelSelector="app=a")
    left, back = next(events), next(events)
    assert (left["type"], left["object"]["metadata"]["labels"]) == ("DELETED", {"app": "a"})
    assert (back["type"], back["object"]["metadata"]["labels"]) == ("ADDED", {"app": "a"})
    assert int(back["object"]["metadata"]["resourceVersion"]) > int(
        left["object"]["metadata"]["resourceVersion"]
    )


def test_a_watch_without_a_version_begins_with_the_existing_objects(namespace: Namespace) -> None:
    namespace.made("configmaps", config_map("one"))
    for event in namespace.watch("configmaps", "0", fieldSelector="metadata.name=one"):
        assert (event["type"], event["object"]["metadata"]["name"]) == ("ADDED", "one")
        break


def test_a_streaming_list_ends_its_initial_events_with_a_bookmark(namespace: Namespace) -> None:
    namespace.made("configmaps", config_map("one"))
    query = {
        "sendInitialEvents": "true",
        "resourceVersionMatch": "NotOlderThan",
        "allowWatchBookmarks": "true",
    }
    for event in namespace.watch("configmaps", "", 20, **query):
        if event["type"] == "BOOKMARK":
            assert event["object"]["metadata"]["annotations"] == {
                "k8s.io/initial-events-end": "true"
            }
            assert event["object"]["metadata"]["resourceVersion"]
            break
        assert event["type"] == "ADDED"


def test_a_watch_ends_after_its_timeout(namespace: Namespace) -> None:
    version = namespace.listing("configmaps")["metadata"]["resourceVersion"]
    assert list(namespace.watch("configmaps", version, seconds=1)) == []


def test_a_final_bookmark_has_a_newer_version_without_a_change(
    namespace: Namespace,
) -> None:
    version = namespace.made("configmaps", config_map("one"))["metadata"]["resourceVersion"]
    query = {
        "watch": "1",
        "resourceVersion": version,
        "allowWatchBookmarks": "true",
        "fieldSelector": "metadata.name=one",
    }
    with (
        namespace.server.client() as other,
        namespace.http.stream(
            "GET", namespace.path("configmaps"), params={**query, "timeoutSeconds": "4"}
        ) as stream,
    ):
        assert stream.status_code == 200
        made = other.post(namespace.path("configmaps"), json=config_map("two")).json()
        events = [json.loads(line) for line in stream.iter_lines()]
    assert {event["type"] for event in events} == {"BOOKMARK"}
    told = events[-1]["object"]
    assert (told["kind"], told["apiVersion"]) == ("ConfigMap", "v1")
    assert int(told["metadata"]["resourceVersion"]) >= int(made["metadata"]["resourceVersion"])


def test_a_bad_version_is_refused(namespace: Namespace) -> None:
    answer = namespace.http.get(
        namespace.path("configmaps"), params={"watch": "1", "resourceVersion": "yesterday"}
    )
    assert answer.status_code == 500
    assert (
        answer.json()["message"]
        == 'resourceVersion: Invalid value: "yesterday": strconv.ParseUint: parsing "yesterday":'
        " invalid syntax"
    )
    assert (
        namespace.http.get(
            namespace.path("configmaps"), params={"resourceVersion": "yesterday"}
        ).status_code
        == 400
    )


def test_a_deletion_event_has_a_newer_version(namespace: Namespace) -> None:
    made = namespace.made("configmaps", config_map("one"))
    version = made["metadata"]["resourceVersion"]
    namespace.delete("configmaps", "one")
    event = next(namespace.watch("configmaps", version, fieldSelector="metadata.name=one"))
    assert event["type"] == "DELETED"
    assert int(event["object"]["metadata"]["resourceVersion"]) > int(version)


def test_a_list_of_all_namespaces_holds_ours(namespace: Namespace) -> None:
    namespace.made("configmaps", config_map("one"))

    def listed() -> bool:
        found = namespace.http.get(
            "/api/v1/configmaps", params={"fieldSelector": f"metadata.namespace={namespace.name}"}
        )
        return "one" in names(found.json()["items"])

    wait_for(listed, "the config map in the list of all")
