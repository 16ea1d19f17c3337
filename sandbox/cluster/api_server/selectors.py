"""Label selectors (query strings and LabelSelector objects) and field selectors."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache

from sandbox.cluster.objects import Json

Labels = Mapping[str, str]
LabelTest = Callable[[Labels], bool]
ObjectTest = Callable[[Json], bool]

_SET_BASED = re.compile(r"^\s*(\S+)\s+(in|notin)\s*\(([^)]*)\)\s*$")
_EQUALITY = re.compile(r"^\s*([^\s=!]+)\s*(==|=|!=)\s*([^\s=!]*)\s*$")
_EXISTS = re.compile(r"^\s*(!?)\s*([^\s=!(),]+)\s*$")


class SelectorError(ValueError):
    """A selector that cannot be parsed."""


def everything(_: Labels) -> bool:
    return True


@lru_cache(maxsize=1024)
def parse_label_selector(text: str) -> LabelTest:
    """A selector of a query string: `a=b,c!=d,e in (f,g),h,!i`."""
    tests = [_requirement(part) for part in _split_outside_parentheses(text) if part.strip()]
    if not tests:
        return everything
    return lambda labels: all(test(labels) for test in tests)


def _split_outside_parentheses(text: str) -> list[str]:
    return re.split(r",(?![^(]*\))", text)


def _requirement(part: str) -> LabelTest:
    if found := _SET_BASED.match(part):
        key, operator, values = (
            found.group(1),
            found.group(2),
            {v.strip() for v in found.group(3).split(",")},
        )
        return _expression(key, "In" if operator == "in" else "NotIn", values)
    if found := _EQUALITY.match(part):
        key, operator, value = found.groups()
        return _expression(key, "NotIn" if operator == "!=" else "In", {value})
    if found := _EXISTS.match(part):
        return _expression(found.group(2), "DoesNotExist" if found.group(1) else "Exists", set())
    words = part.split()
    found_word = words[1] if len(words) > 1 else part.strip()
    raise SelectorError(
        f"unable to parse requirement: found '{found_word}', expected: in, notin, =, ==, !=, gt, lt"
    )


def _expression(key: str, operator: str, values: set[str]) -> LabelTest:
    match operator:
        case "In":
            return lambda labels: labels.get(key) in values and key in labels
        case "NotIn":
            return lambda labels: key not in labels or labels[key] not in values
        case "Exists":
            return lambda labels: key in labels
        case "DoesNotExist":
            return lambda labels: key not in labels
        case _:
            raise SelectorError(f'"{operator}" is not a valid label selector operator')


def selector_test(selector: Json | None) -> LabelTest:
    """A test for a metav1.LabelSelector; None selects nothing and an empty one everything."""
    if selector is None:
        return lambda _: False
    tests = [
        _expression(key, "In", {value})
        for key, value in (selector.get("matchLabels") or {}).items()
    ]
    tests += [
        _expression(expression["key"], expression["operator"], set(expression.get("values") or ()))
        for expression in selector.get("matchExpressions") or ()
    ]
    return lambda labels: all(test(labels) for test in tests)


def selector_text(selector: Json | None) -> str:
    """metav1.FormatLabelSelector."""
    if selector is None:
        return "<none>"
    parts = [f"{key}={value}" for key, value in sorted((selector.get("matchLabels") or {}).items())]
    for expression in selector.get("matchExpressions") or ():
        values = ",".join(sorted(expression.get("values") or ()))
        match expression["operator"]:
            case "In":
                parts.append(f"{expression['key']} in ({values})")
            case "NotIn":
                parts.append(f"{expression['key']} notin ({values})")
            case "Exists":
                parts.append(str(expression["key"]))
            case _:
                parts.append(f"!{expression['key']}")
    return ",".join(parts) or "<none>"


def plain_selector_test(selector: Mapping[str, str] | None) -> LabelTest:
    """A test for a Service's selector, a plain map. An empty one selects nothing."""
    if not selector:
        return lambda _: False
    wanted = dict(selector)
    return lambda labels: all(labels.get(key) == value for key, value in wanted.items())


_FIELDS: dict[str, Callable[[Json], str]] = {
    "metadata.name": lambda obj: str(obj["metadata"].get("name", "")),
    "metadata.namespace": lambda obj: str(obj["metadata"].get("namespace", "")),
}
_FIELDS_OF_KIND: dict[str, tuple[str, ...]] = {
    "Pod": (
        "spec.nodeName",
        "spec.restartPolicy",
        "spec.schedulerName",
        "spec.serviceAccountName",
        "spec.hostNetwork",
        "status.phase",
        "status.podIP",
        "status.nominatedNodeName",
    ),
    "Event": (
        "involvedObject.kind",
        "involvedObject.namespace",
        "involvedObject.name",
        "involvedObject.uid",
        "involvedObject.apiVersion",
        "involvedObject.resourceVersion",
        "involvedObject.fieldPath",
        "reason",
        "reportingComponent",
        "source",
        "type",
    ),
    "ReplicaSet": ("status.replicas",),
    "Node": ("spec.unschedulable",),
    "Namespace": ("status.phase", "name"),
    "Secret": ("type",),
    "Service": ("spec.clusterIP", "spec.type"),
}


@lru_cache(maxsize=1024)
def parse_field_selector(kind: str, text: str) -> ObjectTest:
    """Parses a field selector; only the fields that the API server allows for this kind."""
    tests: list[ObjectTest] = []
    for part in text.split(","):
        if not part.strip():
            continue
        found = re.match(r"^([^=!]+?)\s*(==|=|!=)\s*(.*)$", part.strip())
        if found is None:
            raise SelectorError(f"invalid selector: '{text}'; can't understand '{part}'")
        field, operator, value = found.groups()
        tests.append(_field_test(kind, field, value, wanted=operator != "!="))
    return lambda obj: all(test(obj) for test in tests)


def _field_test(kind: str, field: str, value: str, *, wanted: bool) -> ObjectTest:
    getter = _FIELDS.get(field)
    if getter is None:
        if field not in _FIELDS_OF_KIND.get(kind, ()):
            if kind in _FIELDS_OF_KIND:
                raise SelectorError(f"field label not supported: {field}")
            raise SelectorError(
                f'"{field}" is not a known field selector: only "metadata.name",'
                ' "metadata.namespace"'
            )
        path = tuple(field.split("."))
        getter = lambda obj: _text_at(obj, path)  # noqa: E731 - the twin of the entries in _FIELDS
    read = getter
    return lambda obj: (read(obj) == value) is wanted


def _text_at(obj: Json, path: tuple[str, ...]) -> str:
    value: object = obj
    for key in path:
        if not isinstance(value, dict):
            return ""
        value = value.get(key)
    if value is None:
        return "false" if path[-1] in ("hostNetwork", "unschedulable") else ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
