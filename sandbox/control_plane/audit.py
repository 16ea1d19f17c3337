"""Requests of service accounts, from the API server's own audit log: who wrote what, and how many
requests it took."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

# Only service accounts: the controllers and the administrator act with other names, and would be
# most of the log. A long watch is logged when it begins and again when it ends; the second is left
# out here, since it is the same request.
POLICY = """
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- {level: Metadata, userGroups: ["system:serviceaccounts"]}
- {level: None}
"""
WRITES = ("create", "update", "patch", "delete", "deletecollection")


@dataclass(frozen=True)
class Request:
    """One request; `name` is empty for lists, `code` is the HTTP status of the reply."""

    at: datetime
    verb: str  # get, list, watch, create, update, patch, delete, deletecollection
    resource: str  # e.g. deployments
    subresource: str
    namespace: str
    name: str
    user: str
    agent: str
    code: int
    is_dry_run: bool

    @property
    def has_written(self) -> bool:
        return self.verb in WRITES and self.code < 300 and not self.is_dry_run


def requests_in(log: Path) -> Iterator[Request]:
    """Oldest first. A half-written line is not read yet."""
    with log.open(encoding="utf-8") as lines:
        for line in lines:
            if line.endswith("\n"):
                entry: dict[str, Any] = json.loads(line)
                if entry["stage"] == "ResponseComplete" and entry["verb"] == "watch":
                    continue
                yield _request(entry)


def _request(entry: dict[str, Any]) -> Request:
    what = entry.get("objectRef") or {}
    return Request(
        at=datetime.fromisoformat(entry["requestReceivedTimestamp"]),
        verb=entry["verb"],
        resource=what.get("resource", ""),
        subresource=what.get("subresource", ""),
        namespace=what.get("namespace", ""),
        name=what.get("name", ""),
        user=entry["user"]["username"],
        agent=entry.get("userAgent", ""),
        code=(entry.get("responseStatus") or {}).get("code", 0),
        is_dry_run="dryRun=" in entry["requestURI"],
    )
