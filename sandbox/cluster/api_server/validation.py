"""Checks of pkg/apis/*/validation that a release can fail, in the API server's own words."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from sandbox.cluster.api_server.failures import (
    Cause,
    duplicate,
    forbidden_field,
    invalid_value,
    not_supported,
    required,
    too_long,
)
from sandbox.cluster.api_server.quantities import parse_quantity
from sandbox.cluster.api_server.resources import Resource
from sandbox.cluster.api_server.selectors import selector_test
from sandbox.cluster.objects import Json, semantically_equal

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_QUALIFIED = re.compile(r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]")
_LABEL_VALUE = re.compile(r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?")

_SUBDOMAIN_WORDS = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.',"
    " and must start and end with an alphanumeric character (e.g. 'example.com', regex used for"
    " validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
_LABEL_WORDS = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must"
    " start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for"
    " validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
)
_LABEL_VALUE_WORDS = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.',"
    " and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or"
    " '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
)
_QUALIFIED_WORDS = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end"
    " with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for"
    " validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)
_NOT_NEGATIVE = "must be greater than or equal to 0"


def validate(resource: Resource, obj: Json, before: Json | None) -> list[Cause]:
    """The errors of an object, in the API server's order."""
    causes = _metadata(resource, obj)
    match resource.key:
        case ("apps", "deployments"):
            causes += _deployment(obj["spec"])
        case ("apps", "replicasets"):
            causes += _replica_set(obj["spec"])
        case ("", "pods"):
            causes += _pod_spec(obj["spec"], "spec")
        case ("", "services"):
            causes += _service(obj["spec"])
        case ("autoscaling", "horizontalpodautoscalers"):
            causes += _autoscaler(obj["spec"])
        case ("policy", "poddisruptionbudgets"):
            causes += _budget(obj.get("spec") or {})
        case ("", "configmaps" | "secrets"):
            causes += _data_keys(obj)
        case _:
            pass
    if before is not None:
        causes += _changes(resource, obj, before)
    return causes


def name_errors(resource: Resource, name: str) -> list[str]:
    """The errors of an object's name."""
    if resource.group == "rbac.authorization.k8s.io":
        return ["may not contain '/'"] if "/" in name or "%" in name else []
    if resource.key in (("", "services"), ("", "namespaces")):  # Services: relaxed since 1.36
        return [] if len(name) <= 63 and _LABEL.fullmatch(name) else [_LABEL_WORDS]
    errors = []
    if len(name) > 253:
        errors.append("must be no more than 253 bytes")
    if not _SUBDOMAIN.fullmatch(name):
        errors.append(_SUBDOMAIN_WORDS)
    return errors


def _metadata(resource: Resource, obj: Json) -> list[Cause]:
    metadata = obj["metadata"]
    causes = []
    name = metadata.get("name", "")
    if not name:
        causes.append(required("metadata.name", "name or generateName is required"))
    else:
        causes += [
            invalid_value("metadata.name", name, error) for error in name_errors(resource, name)
        ]
    causes += _labels(metadata.get("labels") or {}, "metadata.labels")
    annotations = metadata.get("annotations") or {}
    for key in annotations:
        causes += _qualified_name(key.lower(), key, "metadata.annotations")
    if (
        sum(len(key.encode()) + len(value.encode()) for key, value in annotations.items())
        > 256 * 1024
    ):
        causes.append(too_long("metadata.annotations", 262144))
    return causes


def _labels(labels: dict[str, str], path: str) -> list[Cause]:
    causes = []
    for key, value in labels.items():
        causes += _qualified_name(key, key, path)
        if len(value) > 63:
            causes.append(invalid_value(path, value, "must be no more than 63 bytes"))
        if not _LABEL_VALUE.fullmatch(value):
            causes.append(invalid_value(path, value, _LABEL_VALUE_WORDS))
    return causes


def _qualified_name(key: str, shown: str, path: str) -> list[Cause]:
    prefix, slash, name = key.rpartition("/")
    causes = []
    if slash and not _SUBDOMAIN.fullmatch(prefix):
        words = "prefix part must be non-empty" if not prefix else f"prefix part {_SUBDOMAIN_WORDS}"
        causes.append(invalid_value(path, shown, words))
    if not name:
        causes.append(invalid_value(path, shown, "name part must be non-empty"))
    elif len(name) > 63:
        causes.append(invalid_value(path, shown, "name part must be no more than 63 bytes"))
    if not _QUALIFIED.fullmatch(name):
        causes.append(invalid_value(path, shown, _QUALIFIED_WORDS))
    return causes


def _not_negative(spec: Json, field: str, path: str = "spec") -> list[Cause]:
    value = spec.get(field, 0)
    return [invalid_value(f"{path}.{field}", value, _NOT_NEGATIVE)] if value < 0 else []


def _selector(spec: Json, *, kind: str) -> list[Cause]:
    selector = spec.get("selector")
    if selector is None:
        return [required("spec.selector")]
    causes = _selector_syntax(selector, "spec.selector")
    if not selector.get("matchLabels") and not selector.get("matchExpressions"):
        causes.append(
            invalid_value("spec.selector", selector, f"empty selector is invalid for {kind}")
        )
    return causes


def _selector_syntax(selector: Json, path: str) -> list[Cause]:
    causes = _labels(selector.get("matchLabels") or {}, f"{path}.matchLabels")
    for at, expression in enumerate(selector.get("matchExpressions") or ()):
        where = f"{path}.matchExpressions[{at}]"
        operator = expression.get("operator")
        if operator in ("In", "NotIn"):
            if not expression.get("values"):
                causes.append(
                    required(
                        f"{where}.values", "must be specified when `operator` is 'In' or 'NotIn'"
                    )
                )
        elif operator in ("Exists", "DoesNotExist"):
            if expression.get("values"):
                words = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
                causes.append(forbidden_field(f"{where}.values", words))
        else:
            causes.append(
                invalid_value(f"{where}.operator", operator, "not a valid selector operator")
            )
    return causes


def _template(spec: Json) -> list[Cause]:
    template = spec.get("template") or {}
    labels = (template.get("metadata") or {}).get("labels")
    causes = []
    if spec.get("selector") != {} and not selector_test(spec.get("selector"))(labels or {}):
        words = "`selector` does not match template `labels`"
        causes.append(invalid_value("spec.template.metadata.labels", labels, words))
    labels = labels or {}
    causes += _labels(labels, "spec.template.labels")
    causes += _pod_spec(template.get("spec") or {}, "spec.template.spec")
    policy = (template.get("spec") or {}).get("restartPolicy")
    if policy != "Always":
        causes.append(not_supported("spec.template.spec.restartPolicy", policy, ["Always"]))
    return causes


def _deployment(spec: Json) -> list[Cause]:
    causes = _not_negative(spec, "replicas")
    causes += _selector(spec, kind="deployment")
    causes += _template(spec)
    causes += _strategy(spec.get("strategy") or {})
    causes += _not_negative(spec, "minReadySeconds")
    causes += _not_negative(spec, "revisionHistoryLimit")
    deadline = spec.get("progressDeadlineSeconds")
    if deadline is not None:
        causes += _not_negative(spec, "progressDeadlineSeconds")
        if deadline <= spec.get("minReadySeconds", 0):
            words = "must be greater than minReadySeconds"
            causes.append(invalid_value("spec.progressDeadlineSeconds", deadline, words))
    return causes


def _strategy(strategy: Json) -> list[Cause]:
    path = "spec.strategy"
    kind = strategy.get("type")
    rolling = strategy.get("rollingUpdate")
    if kind == "Recreate":
        if rolling is not None:
            words = "may not be specified when strategy `type` is 'Recreate'"
            return [forbidden_field(f"{path}.rollingUpdate", words)]
        return []
    if kind != "RollingUpdate":
        shown = {"Type": kind, "RollingUpdate": rolling}
        return [not_supported(path, shown, ["Recreate", "RollingUpdate"])]
    if rolling is None:
        return [required(f"{path}.rollingUpdate", "this should be defaulted and never be nil")]
    causes = []
    for field in ("maxUnavailable", "maxSurge"):
        causes += _count_or_percent(rolling.get(field, 0), f"{path}.rollingUpdate.{field}")
    if (
        not causes
        and _leading_number(rolling.get("maxUnavailable", 0)) == 0
        and _leading_number(rolling.get("maxSurge", 0)) == 0
    ):
        words = "may not be 0 when `maxSurge` is 0"
        causes.append(
            invalid_value(
                f"{path}.rollingUpdate.maxUnavailable", rolling.get("maxUnavailable"), words
            )
        )
    if (
        isinstance(rolling.get("maxUnavailable"), str)
        and _leading_number(rolling["maxUnavailable"]) > 100
    ):
        words = "must not be greater than 100%"
        causes.append(
            invalid_value(f"{path}.rollingUpdate.maxUnavailable", rolling["maxUnavailable"], words)
        )
    return causes


def _count_or_percent(value: Any, path: str) -> list[Cause]:
    if isinstance(value, str):
        if not re.fullmatch(r"[0-9]+%", value):
            words = (
                "a valid percent string must be a numeric string followed by an ending '%' (e.g."
                " '1%',  or '93%', regex used for validation is '[0-9]+%')"
            )
            return [invalid_value(path, value, words)]
        return []
    return [invalid_value(path, value, _NOT_NEGATIVE)] if value < 0 else []


def _leading_number(value: Any) -> int:
    return int(value.rstrip("%")) if isinstance(value, str) else int(value)


def _replica_set(spec: Json) -> list[Cause]:
    causes = _not_negative(spec, "replicas")
    causes += _not_negative(spec, "minReadySeconds")
    causes += _selector(spec, kind="deployment")
    causes += _template(spec)
    return causes


def _pod_spec(spec: Json, path: str) -> list[Cause]:
    causes = []
    volumes = {volume.get("name") for volume in spec.get("volumes") or ()}
    containers = spec.get("containers") or []
    if not containers:
        causes.append(required(f"{path}.containers"))
    seen: set[str] = set()
    for group in ("containers", "initContainers"):
        for at, container in enumerate(spec.get(group) or ()):
            causes += _container(container, f"{path}.{group}[{at}]", seen, volumes)
    grace = spec.get("terminationGracePeriodSeconds", 0)
    if grace < 0:
        causes.append(invalid_value(f"{path}.terminationGracePeriodSeconds", grace, _NOT_NEGATIVE))
    return causes


def _container(container: Json, path: str, seen: set[str], volumes: set[Any]) -> list[Cause]:
    causes = _container_name(container.get("name", ""), path, seen)
    image = container.get("image", "")
    if not image:
        causes.append(required(f"{path}.image"))
    elif image != image.strip():
        causes.append(
            invalid_value(f"{path}.image", image, "must not have leading or trailing whitespace")
        )
    causes += _container_ports(container.get("ports") or (), path)
    causes += _container_resources(container.get("resources") or {}, path)
    for at, mount in enumerate(container.get("volumeMounts") or ()):
        if mount.get("name") not in volumes:
            where, words = f"{path}.volumeMounts[{at}].name", f'Not found: "{mount.get("name")}"'
            causes.append(Cause(where, words, "FieldValueNotFound"))
    for at, variable in enumerate(container.get("env") or ()):
        if not variable.get("name"):
            causes.append(required(f"{path}.env[{at}].name"))
    return causes


def _container_name(name: str, path: str, seen: set[str]) -> list[Cause]:
    if not name:
        return [required(f"{path}.name")]
    causes = []
    if not _LABEL.fullmatch(name):
        causes.append(invalid_value(f"{path}.name", name, _LABEL_WORDS))
    if name in seen:
        causes.append(duplicate(f"{path}.name", name))
    seen.add(name)
    return causes


def _container_ports(ports: Iterable[Json], path: str) -> list[Cause]:
    causes = []
    for at, port in enumerate(ports):
        where, number = f"{path}.ports[{at}].containerPort", port.get("containerPort")
        if number is None:
            causes.append(required(where))
        elif not 1 <= number <= 65535:
            causes.append(invalid_value(where, number, "must be between 1 and 65535, inclusive"))
    return causes


def _container_resources(resources: Json, path: str) -> list[Cause]:
    causes = []
    limits = resources.get("limits") or {}
    for resource, value in (resources.get("requests") or {}).items():
        if resource in limits and parse_quantity(value) > parse_quantity(limits[resource]):
            words = f"must be less than or equal to {resource} limit of {limits[resource]}"
            causes.append(invalid_value(f"{path}.resources.requests", value, words))
    return causes


def _service(spec: Json) -> list[Cause]:
    causes = []
    ports = spec.get("ports") or []
    if not ports and spec.get("clusterIP") != "None" and spec.get("type") != "ExternalName":
        causes.append(required("spec.ports"))
    for at, port in enumerate(ports):
        where = f"spec.ports[{at}]"
        if len(ports) > 1 and not port.get("name"):
            causes.append(required(f"{where}.name"))
        if not 1 <= port.get("port", 0) <= 65535:
            words = "must be between 1 and 65535, inclusive"
            causes.append(invalid_value(f"{where}.port", port.get("port", 0), words))
    causes += _labels(spec.get("selector") or {}, "spec.selector")
    if spec.get("sessionAffinity") not in ("None", "ClientIP"):
        causes.append(
            not_supported("spec.sessionAffinity", spec.get("sessionAffinity"), ["ClientIP", "None"])
        )
    kinds = ["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"]
    if spec.get("type") not in kinds:
        causes.append(not_supported("spec.type", spec.get("type"), kinds))
    return causes


def _autoscaler(spec: Json) -> list[Cause]:
    late: list[Cause] = []
    reference = spec.get("scaleTargetRef") or {}
    causes = [
        required(f"spec.scaleTargetRef.{field}")
        for field in ("kind", "name")
        if not reference.get(field)
    ]
    if not reference.get("apiVersion") and reference.get("kind") != "ReplicationController":
        words = "apiVersion must specify API group"
        late.append(invalid_value("spec.scaleTargetRef.apiVersion", "", words))
    low, high = spec.get("minReplicas", 1), spec.get("maxReplicas", 0)
    if low < 1:
        causes.append(invalid_value("spec.minReplicas", low, "must be greater than or equal to 1"))
    if high < 1:
        causes.append(invalid_value("spec.maxReplicas", high, "must be greater than 0"))
    if high < low:
        causes.append(
            invalid_value(
                "spec.maxReplicas", high, "must be greater than or equal to `minReplicas`"
            )
        )
    return causes + late


def _budget(spec: Json) -> list[Cause]:
    if "minAvailable" in spec and "maxUnavailable" in spec:
        words = "minAvailable and maxUnavailable cannot be both set"
        shown = {
            "MinAvailable": spec["minAvailable"],
            "Selector": spec.get("selector"),
            "MaxUnavailable": spec["maxUnavailable"],
            "UnhealthyPodEvictionPolicy": spec.get("unhealthyPodEvictionPolicy"),
        }
        return [invalid_value("spec", shown, words)]
    return []


def _data_keys(obj: Json) -> list[Cause]:
    causes = []
    for field in ("data", "binaryData"):
        for key in obj.get(field) or {}:
            if not re.fullmatch(r"[-._a-zA-Z0-9]+", key):
                words = (
                    "a valid config key must consist of alphanumeric characters, '-', '_' or '.'"
                    " (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation"
                    " is '[-._a-zA-Z0-9]+')"
                )
                causes.append(invalid_value(f"{field}[{key}]", key, words))
    return causes


_IMMUTABLE = "field is immutable"


def _changes(resource: Resource, obj: Json, before: Json) -> list[Cause]:
    match resource.key:
        case ("apps", "deployments" | "replicasets"):
            if not semantically_equal(obj["spec"].get("selector"), before["spec"].get("selector")):
                return [invalid_value("spec.selector", obj["spec"].get("selector"), _IMMUTABLE)]
        case ("", "services"):
            old, new = before["spec"].get("clusterIP"), obj["spec"].get("clusterIP")
            if old and new and old != new and before["spec"].get("type") != "ExternalName":
                return [invalid_value("spec.clusterIPs[0]", [new], "may not change once set")]
        case ("", "configmaps" | "secrets"):
            return _data_changes(resource, obj, before)
        case ("", "pods"):
            return _pod_changes(obj, before)
        case ("rbac.authorization.k8s.io", "rolebindings" | "clusterrolebindings"):
            if obj.get("roleRef") != before.get("roleRef"):
                return [invalid_value("roleRef", obj.get("roleRef"), "cannot change roleRef")]
        case _:
            pass
    return []


def _data_changes(resource: Resource, obj: Json, before: Json) -> list[Cause]:
    if before.get("immutable") and not semantically_equal(obj.get("data"), before.get("data")):
        return [forbidden_field("data", "field is immutable when `immutable` is set")]
    if resource.plural == "secrets" and obj.get("type") != before.get("type"):
        return [invalid_value("type", obj.get("type"), _IMMUTABLE)]
    return []


def _pod_changes(obj: Json, before: Json) -> list[Cause]:
    def frozen(pod: Json) -> Json:
        spec = {**pod["spec"]}
        for field in (
            "tolerations",
            "activeDeadlineSeconds",
            "terminationGracePeriodSeconds",
            "nodeName",
        ):
            spec.pop(field, None)
        spec["containers"] = [{**item, "image": ""} for item in spec.get("containers") or ()]
        return spec

    if semantically_equal(frozen(obj), frozen(before)):
        return []
    words = (
        "pod updates may not change fields other than"
        " `spec.containers[*].image`,`spec.initContainers[*].image`,"
        "`spec.activeDeadlineSeconds`,`spec.tolerations`"
        " (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it"
        " to be set to 1 if it was previously negative)"
    )
    return [forbidden_field("spec", words)]
