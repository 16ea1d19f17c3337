"""Small operations on Kubernetes objects held as plain JSON dictionaries.

Stored objects are never changed in place: copy one before changing it, with
`copy_json`.
"""

from __future__ import annotations

import datetime as dt
import secrets
import uuid
from collections.abc import Iterable
from typing import Any

import orjson

Json = dict[str, Any]

_SAFE_NAME_CHARACTERS = "bcdfghjklmnpqrstvwxz2456789"  # Kubernetes rand.SafeEncodeString's alphabet


def copy_json(value: Any) -> Any:
    """A deep copy; a round trip through bytes is several times faster than copy.deepcopy."""
    return orjson.loads(orjson.dumps(value))


def timestamp(seconds: float) -> str:
    """metav1.Time: RFC 3339 with whole seconds."""
    return dt.datetime.fromtimestamp(seconds, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def seconds_of(stamp: str | None) -> float:
    """The epoch seconds of a timestamp, 0 for none."""
    if not stamp:
        return 0.0
    return dt.datetime.fromisoformat(stamp).timestamp()


def new_uid() -> str:
    return str(uuid.uuid4())


def random_suffix(length: int = 5) -> str:
    return "".join(secrets.choice(_SAFE_NAME_CHARACTERS) for _ in range(length))


def safe_encode(text: str) -> str:
    """rand.SafeEncodeString: maps digits of a hash to letters that spell no words."""
    return "".join(
        _SAFE_NAME_CHARACTERS[ord(character) % len(_SAFE_NAME_CHARACTERS)] for character in text
    )


def name_of(obj: Json) -> str:
    return str(obj["metadata"].get("name", ""))


def namespace_of(obj: Json) -> str:
    return str(obj["metadata"].get("namespace", ""))


def uid_of(obj: Json) -> str:
    return str(obj["metadata"].get("uid", ""))


def labels_of(obj: Json) -> dict[str, str]:
    labels: dict[str, str] = obj["metadata"].get("labels") or {}
    return labels


def annotations_of(obj: Json) -> dict[str, str]:
    annotations: dict[str, str] = obj["metadata"].get("annotations") or {}
    return annotations


def is_terminating(obj: Json) -> bool:
    return "deletionTimestamp" in obj["metadata"]


def controller_of(obj: Json) -> Json | None:
    for reference in obj["metadata"].get("ownerReferences") or ():
        if reference.get("controller"):
            found: Json = reference
            return found
    return None


def is_controlled_by(obj: Json, owner: Json) -> bool:
    reference = controller_of(obj)
    return reference is not None and reference["uid"] == uid_of(owner)


def controller_reference(owner: Json) -> Json:
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": name_of(owner),
        "uid": uid_of(owner),
        "controller": True,
        "blockOwnerDeletion": True,
    }


def condition_of(obj: Json, condition_type: str) -> Json | None:
    return find_condition(obj.get("status", {}).get("conditions") or (), condition_type)


def find_condition(conditions: Iterable[Json], condition_type: str) -> Json | None:
    for condition in conditions:
        if condition["type"] == condition_type:
            return condition
    return None


def is_pod_ready(pod: Json) -> bool:
    condition = condition_of(pod, "Ready")
    return condition is not None and condition["status"] == "True"


def pod_available_in(pod: Json, min_ready_seconds: int, now: float) -> float | None:
    """Seconds until the pod counts as available: 0 when it does, None while it is not ready
    (podutil.IsPodAvailable)."""
    condition = condition_of(pod, "Ready")
    if condition is None or condition["status"] != "True":
        return None
    if min_ready_seconds == 0:
        return 0.0
    return max(0.0, seconds_of(condition.get("lastTransitionTime")) + min_ready_seconds - now)


def drop_empty(value: Json) -> Json:
    """Without keys whose value is None, empty text, list or dictionary (Go's omitempty)."""
    return {key: item for key, item in value.items() if item not in (None, "", [], {})}


def semantically_equal(left: Any, right: Any) -> bool:
    """apiequality.Semantic.DeepEqual on JSON: absent, null and empty containers are the
    same thing."""
    if isinstance(left, dict) and isinstance(right, dict):
        return all(
            semantically_equal(left.get(key), right.get(key)) for key in left.keys() | right.keys()
        )
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(semantically_equal, left, right))
    if left in (None, [], {}) and right in (None, [], {}):
        return True
    return bool(left == right) and isinstance(left, bool) == isinstance(right, bool)
