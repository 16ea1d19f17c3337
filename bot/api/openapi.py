"""The description of the API (OpenAPI 3.1), made from its own shapes and codes: served, and printed
by `pilothouse openapi`."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from functools import cache
from importlib.metadata import version
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from bot.api import bodies
from bot.api.bodies import MAX_BODY, ReleaseRequest
from bot.api.problems import CODES
from bot.api.shapes import EventShape, PlanShape, ReleaseShape
from config.schema import described, for_people

API = "/api/v1"
Json = dict[str, Any]

_EVERYWHERE = ("invalid_token", "token_expired", "unavailable", "internal")
_START = (
    "malformed",
    "not_allowed",
    "refused",
    "locked",
    "too_slow",
    "too_large",
    "not_json",
    "invalid",
    "key_reused",
    "triggered_by_required",
    "outcome_unknown",
)


@cache
def description() -> Json:
    models: tuple[type[BaseModel], ...] = (ReleaseRequest, ReleaseShape, PlanShape, EventShape)
    _, found = models_json_schema(
        [(model, "validation") for model in models], ref_template="#/components/schemas/{model}"
    )
    schemas = found["$defs"]
    for name, key, text in described(bodies, BaseModel):
        schemas[name]["properties"][key]["description"] = text
    problem = {
        "type": "object",
        "description": "RFC 9457. `code` keeps its meaning; `detail` is one line for people.",
        "required": ["title", "status", "code", "detail"],
        "properties": {
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "code": {"enum": list(CODES)},
            "detail": {"type": "string"},
        },
    }
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Pilothouse",
            "version": version("pilothouse"),
            "description": "Releases started and followed by machines. People approve in Slack.",
        },
        "security": [{"token": []}],
        "paths": {
            f"{API}/releases": {"post": _start()},
            f"{API}/releases/{{release}}": {"get": _get("show", "A release", "ReleaseShape")},
            f"{API}/releases/{{release}}/plan": {
                "get": _get("plan", "What the release will do, once it has a plan", "PlanShape")
            },
            f"{API}/releases/{{release}}/events": {"get": _events()},
        },
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": {
                **{name: for_people(one) for name, one in schemas.items()},
                "Problem": problem,
            },
        },
    }


def _start() -> Json:
    key = {
        "name": "Idempotency-Key",
        "in": "header",
        "required": True,
        "description": "The caller's own name for this request. The same key with the same body"
        " gives the same release, for a day.",
        "schema": {"type": "string", "minLength": 8, "maxLength": 128, "pattern": "^[!-~]+$"},
    }
    body = {
        "required": True,
        "description": f"At most {MAX_BODY} bytes.",
        "content": {"application/json": {"schema": _ref("ReleaseRequest")}},
    }
    return {
        "operationId": "start",
        "summary": "Start a release, as `/deploy` does",
        "parameters": [key],
        "requestBody": body,
        "responses": {
            "201": _answer("The release was created", "ReleaseShape"),
            "200": _answer("It exists: the same request, or the same version runs", "ReleaseShape"),
            **_problems(*_START),
        },
    }


def _get(name: str, summary: str, shape: str) -> Json:
    return {
        "operationId": name,
        "summary": summary,
        "parameters": [_release()],
        "responses": {"200": _answer(summary, shape), **_problems("not_found")},
    }


def _events() -> Json:
    last = {
        "name": "Last-Event-ID",
        "in": "header",
        "description": "The id of the last event that arrived; the stream continues behind it.",
        "schema": {"type": "string"},
    }
    stream = {"text/event-stream": {"schema": {"type": "string"}}}
    return {
        "operationId": "events",
        "summary": "What happens to the release, as server-sent events, until the event `end`",
        "description": "The data of each event is an EventShape; that of `end` holds the phase.",
        "parameters": [_release(), last],
        "responses": {
            "200": {"description": "The stream", "content": stream},
            **_problems("malformed", "not_found", "too_many"),
        },
    }


def _release() -> Json:
    schema = {"type": "string"}
    return {"name": "release", "in": "path", "required": True, "schema": schema}


def _ref(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


def _answer(about: str, shape: str) -> Json:
    return {"description": about, "content": {"application/json": {"schema": _ref(shape)}}}


def _problems(*codes: str) -> Json:
    by_status: dict[int, list[str]] = {}
    for code in (*codes, *_EVERYWHERE):
        by_status.setdefault(CODES[code][0], []).append(f"`{code}`")
    content = {"application/problem+json": {"schema": _ref("Problem")}}
    return {
        str(status): {"description": ", ".join(found), "content": content}
        for status, found in sorted(by_status.items())
    }


def main(arguments: Sequence[str] | None = None) -> int:
    argparse.ArgumentParser(
        prog="pilothouse openapi",
        description="Print the description of the API (OpenAPI 3.1).",
    ).parse_args(arguments)
    print(json.dumps(description(), indent=2, ensure_ascii=False))
    return 0
