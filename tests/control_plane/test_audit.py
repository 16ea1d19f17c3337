"""What is read out of the API server's audit log: each request once, and which of them wrote."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from sandbox.control_plane.audit import requests_in


def entry(
    verb: str,
    *,
    code: int = 200,
    stage: str = "ResponseComplete",
    uri: str = "/apis/apps/v1/namespaces/default/deployments/hello",
) -> str:
    body: dict[str, Any] = {
        "stage": stage,
        "verb": verb,
        "requestURI": uri,
        "user": {"username": "system:serviceaccount:pilothouse:pilothouse"},
        "userAgent": "pilothouse",
        "objectRef": {
            "resource": "deployments",
            "namespace": "default",
            "name": "hello",
            "apiGroup": "apps",
        },
        "responseStatus": {"code": code},
        "requestReceivedTimestamp": "2026-01-02T03:04:05.678901Z",
    }
    return json.dumps(body) + "\n"


def test_only_effective_requests_count_as_writes(tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    dry = entry(
        "patch",
        uri="/apis/apps/v1/namespaces/default/deployments/hello?dryRun=All&fieldManager=pilothouse",
    )
    log.write_text(entry("get") + entry("patch") + dry + entry("patch", code=422) + entry("delete"))
    assert [(one.verb, one.code) for one in requests_in(log) if one.has_written] == [
        ("patch", 200),
        ("delete", 200),
    ]
    assert {(one.resource, one.namespace, one.name, one.agent) for one in requests_in(log)} == {
        ("deployments", "default", "hello", "pilothouse")
    }


def test_a_watch_is_one_request_although_its_end_is_logged_too(tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    log.write_text(entry("watch", stage="ResponseStarted") + entry("list") + entry("watch"))
    assert [one.verb for one in requests_in(log)] == ["watch", "list"]


def test_a_half_written_line_is_left_for_the_next_read(tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    log.write_text(entry("get") + entry("patch")[:40])
    assert [one.verb for one in requests_in(log)] == ["get"]
