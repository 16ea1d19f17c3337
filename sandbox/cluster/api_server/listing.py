"""LIST: selectors, chunks with continue tokens, tables."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping

import orjson

from sandbox.cluster.api_server import failures
from sandbox.cluster.api_server.registry import as_list_item
from sandbox.cluster.api_server.resources import Resource
from sandbox.cluster.api_server.selectors import (
    SelectorError,
    everything,
    parse_field_selector,
    parse_label_selector,
)
from sandbox.cluster.api_server.store import Store
from sandbox.cluster.api_server.tables import TableWriter
from sandbox.cluster.objects import Json, labels_of, name_of, namespace_of

Query = Mapping[str, str]


def object_test(resource: Resource, query: Query, name: str = "") -> Callable[[Json], bool]:
    """A test for labelSelector and fieldSelector (and a name in the path of an old watch)."""
    try:
        of_labels = parse_label_selector(query.get("labelSelector", ""))
        of_fields = parse_field_selector(resource.kind, query.get("fieldSelector", ""))
    except SelectorError as error:
        raise failures.bad_request(str(error)) from None
    if not query.get("fieldSelector") and not name:
        if of_labels is everything:
            return lambda _: True
        return lambda obj: of_labels(labels_of(obj))
    return lambda obj: of_labels(labels_of(obj)) and of_fields(obj) and name in ("", name_of(obj))


def list_objects(
    store: Store,
    resource: Resource,
    namespace: str,
    query: Query,
    table: TableWriter | None,
    *,
    metadata_only: bool,
) -> Json:
    """A List, or a Table when the client asked for one."""
    matches = object_test(resource, query)
    _check_version(store, query)
    objects = [obj for obj in store.list_all(resource, namespace) if matches(obj)]
    metadata: Json = {"resourceVersion": str(store.version)}
    limit = int(query.get("limit") or 0)
    start = _start_of(store, query.get("continue", ""))
    if start is not None:
        version, namespace_from, name_from = start
        metadata["resourceVersion"] = str(version)
        objects = [
            obj
            for obj in objects
            if (namespace_of(obj), name_of(obj)) > (namespace_from, name_from)
        ]
    if limit and len(objects) > limit:
        remaining = len(objects) - limit
        objects = objects[:limit]
        last = objects[-1]
        token = [int(metadata["resourceVersion"]), namespace_of(last), name_of(last)]
        metadata["continue"] = base64.urlsafe_b64encode(orjson.dumps(token)).decode().rstrip("=")
        if not query.get("labelSelector") and not query.get("fieldSelector"):
            metadata["remainingItemCount"] = remaining
    if table is not None:
        return table.many(objects, metadata)
    if metadata_only:
        items = [
            {
                "kind": "PartialObjectMetadata",
                "apiVersion": "meta.k8s.io/v1",
                "metadata": obj["metadata"],
            }
            for obj in objects
        ]
        return {
            "kind": "PartialObjectMetadataList",
            "apiVersion": "meta.k8s.io/v1",
            "metadata": metadata,
            "items": items,
        }
    return {
        "kind": f"{resource.kind}List",
        "apiVersion": resource.api_version,
        "metadata": metadata,
        "items": [as_list_item(resource, obj) for obj in objects],
    }


def _check_version(store: Store, query: Query) -> None:
    text = query.get("resourceVersion", "")
    if text and not text.isdigit():
        raise bad_version(text)
    if (
        text not in ("", "0")
        and query.get("resourceVersionMatch") == "Exact"
        and int(text) < store.oldest_version
    ):
        raise failures.expired(f"The provided resource version {text} is too old.")


def bad_version(text: str) -> failures.ApiFailure:
    return failures.bad_request(
        f'invalid resource version: resourceVersion: Invalid value: "{text}": strconv.ParseUint:'
        f' parsing "{text}": invalid syntax'
    )


def _start_of(store: Store, token: str) -> tuple[int, str, str] | None:
    if not token:
        return None
    try:
        version, namespace, name = orjson.loads(
            base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
        )
    except ValueError:
        raise failures.bad_request("continue key is not valid: invalid continue token") from None
    if version < store.oldest_version:
        raise failures.expired(
            "The provided continue parameter is too old to display a consistent list result. You"
            " can start a new list without the continue parameter, or use the continue token in"
            " this response to retrieve the remainder of the results. Continuing with the provided"
            " token results in an inconsistent list - objects that were created, modified, or"
            " deleted between the time the first chunk was returned and now may show up in the"
            " list."
        )
    return version, namespace, name
