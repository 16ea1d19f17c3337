"""Authentication by bearer token and authorization: administrators, RBAC objects, and denials that
tests set."""

from __future__ import annotations

import re
from dataclasses import dataclass

from sandbox.cluster.api_server.callers import ADMIN_GROUPS, Caller
from sandbox.cluster.api_server.failures import ApiFailure
from sandbox.cluster.api_server.resources import (
    CLUSTER_ROLE_BINDINGS,
    CLUSTER_ROLES,
    ROLE_BINDINGS,
    ROLES,
)
from sandbox.cluster.api_server.store import Store
from sandbox.cluster.objects import Json

ADMIN_TOKEN = "sandbox-token"


@dataclass(frozen=True)
class Attributes:
    """The verb and object of a request."""

    verb: str
    group: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    path: str = ""  # for requests without a resource

    @property
    def resource_text(self) -> str:
        return f"{self.resource}/{self.subresource}" if self.subresource else self.resource


@dataclass(frozen=True)
class Denial:
    """Refuses everyone, administrators included; empty fields match anything."""

    verb: str = ""
    group: str = "*"
    resource: str = ""
    namespace: str = ""

    def meets(self, wanted: Attributes) -> bool:
        return (
            self.verb in ("", "*", wanted.verb)
            and self.group in ("*", wanted.group)
            and self.resource in ("", "*", wanted.resource_text)
            and self.namespace in ("", wanted.namespace)
        )


class Access:
    """Holds the tokens; reads roles and bindings from the store for each decision."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._tokens: dict[str, tuple[str, tuple[str, ...]]] = {
            ADMIN_TOKEN: ("admin", ADMIN_GROUPS)
        }
        self.denials: list[Denial] = []
        self.asked: set[tuple[str, str, str, str]] = set()
        """Since the start: user agent, verb, group, resource (with its subresource)."""

    def add_service_account(self, namespace: str, name: str) -> str:
        """Returns a token of a service account; Roles and bindings decide what it may do."""
        token = f"sa.{namespace}.{name}"
        groups = (
            "system:serviceaccounts",
            f"system:serviceaccounts:{namespace}",
            "system:authenticated",
        )
        self._tokens[token] = (f"system:serviceaccount:{namespace}:{name}", groups)
        return token

    def replace_token(self, old: str, new: str) -> None:
        """From now on ``old`` is refused."""
        self._tokens[new] = self._tokens.pop(old)

    def caller(self, authorization: str, agent: str) -> Caller:
        """Without a header the caller is the administrator: kubectl sends no token over plain HTTP.
        A wrong token is refused."""
        if not authorization:
            return Caller("admin", ADMIN_GROUPS, agent)
        scheme, _, token = authorization.partition(" ")
        known = self._tokens.get(token.strip()) if scheme.lower() == "bearer" else None
        if known is None:
            raise ApiFailure(401, "Unauthorized", "Unauthorized")
        return Caller(known[0], known[1], agent)

    def check(self, caller: Caller, wanted: Attributes) -> None:
        if wanted.resource:
            self.asked.add(
                (caller.agent.partition("/")[0], wanted.verb, wanted.group, wanted.resource_text)
            )
        if not self.allows(caller, wanted):
            raise forbidden_request(caller, wanted)

    def allows(self, caller: Caller, wanted: Attributes) -> bool:
        if self.denials and any(denial.meets(wanted) for denial in self.denials):
            return False
        if caller.is_admin:
            return True
        if wanted.path:
            return wanted.verb == "get" and _is_open(wanted.path)
        if wanted.group in ("authorization.k8s.io", "authentication.k8s.io"):
            return wanted.resource.startswith("selfsubject")
        return any(_rule_allows(rule, wanted) for rule in self.rules(caller, wanted.namespace))

    def rules(self, caller: Caller, namespace: str) -> list[Json]:
        """The rules that bindings grant this caller, in the cluster and in one namespace."""
        found: list[Json] = []
        for binding in self._store.list_all(CLUSTER_ROLE_BINDINGS):
            if _names(binding, caller, ""):
                found += self._rules_of(binding["roleRef"], "")
        if namespace:
            for binding in self._store.list_all(ROLE_BINDINGS, namespace):
                if _names(binding, caller, namespace):
                    found += self._rules_of(binding["roleRef"], namespace)
        return found

    def _rules_of(self, reference: Json, namespace: str) -> list[Json]:
        if reference["kind"] == "ClusterRole":
            role = self._store.get(CLUSTER_ROLES, "", reference["name"])
        else:
            role = self._store.get(ROLES, namespace, reference["name"])
        rules: list[Json] = (role or {}).get("rules") or []
        return rules


def _is_open(path: str) -> bool:
    return bool(re.match(r"^/(api|apis|openapi|version|healthz|livez|readyz)(/|$)", path))


def _names(binding: Json, caller: Caller, namespace: str) -> bool:
    for subject in binding.get("subjects") or ():
        match subject.get("kind"):
            case "ServiceAccount":
                where = subject.get("namespace") or namespace
                if caller.user == f"system:serviceaccount:{where}:{subject['name']}":
                    return True
            case "User":
                if subject["name"] == caller.user:
                    return True
            case "Group":
                if subject["name"] in caller.groups:
                    return True
            case _:
                pass
    return False


def _rule_allows(rule: Json, wanted: Attributes) -> bool:
    def holds(field: str, *values: str) -> bool:
        listed = rule.get(field) or ()
        return "*" in listed or any(value in listed for value in values)

    resources = rule.get("resources") or ()
    fits = holds("resources", wanted.resource_text) or (
        bool(wanted.subresource) and f"*/{wanted.subresource}" in resources
    )
    if not (holds("verbs", wanted.verb) and holds("apiGroups", wanted.group) and fits):
        return False
    names = rule.get("resourceNames") or ()
    return not names or wanted.name in names


def forbidden_request(caller: Caller, wanted: Attributes) -> ApiFailure:
    """403 in the words of the API server."""
    if wanted.path:
        message = f'forbidden: User "{caller.user}" cannot {wanted.verb} path "{wanted.path}"'
        return ApiFailure(403, "Forbidden", message, {})
    subject = f"{wanted.resource}.{wanted.group}" if wanted.group else wanted.resource
    if wanted.name:
        subject += f' "{wanted.name}"'
    scope = (
        f' in the namespace "{wanted.namespace}"' if wanted.namespace else " at the cluster scope"
    )
    message = (
        f'{subject} is forbidden: User "{caller.user}" cannot {wanted.verb} resource'
        f' "{wanted.resource_text}" in API group "{wanted.group}"{scope}'
    )
    details = {"name": wanted.name, "group": wanted.group, "kind": wanted.resource}
    return ApiFailure(
        403, "Forbidden", message, {key: value for key, value in details.items() if value}
    )
