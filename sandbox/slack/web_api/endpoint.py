"""`POST /api/<method>`: decode, check, act, reply and log, in Slack's order."""

from __future__ import annotations

import asyncio
import json
import time
from email.parser import BytesParser
from email.policy import HTTP
from typing import Any
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from sandbox.slack.connections import cut_connection
from sandbox.slack.errors import RateLimited, SlackError
from sandbox.slack.faults import Fault
from sandbox.slack.journal import measure
from sandbox.slack.platform import Platform
from sandbox.slack.web_api import chat, conversations, files, people, views
from sandbox.slack.web_api.methods import METHODS, Method

Json = dict[str, Any]

FAMILIES = (chat, conversations, files, people, views)
"""Importing them fills METHODS."""

_OBJECTS = ("blocks", "view", "metadata", "files", "attachments")


async def call(request: Request) -> Response:
    platform: Platform = request.app.state.platform
    name = request.path_params["method"]
    at, started = time.time(), time.perf_counter()
    arguments: Json = {}
    try:
        arguments = _decode(await request.body(), request.headers.get("content-type", ""))
        fault = platform.faults.take(name, arguments.get("channel"))
        response = _answer(platform, name, arguments, _token(request, arguments), fault)
        if fault is not None and fault.kind == "slow":
            await asyncio.sleep(fault.seconds)
    except SlackError as error:
        fault = None
        response = error_response(error)
    _write_down(
        platform, name, arguments, response, at, (time.perf_counter() - started) * 1000, fault
    )
    if fault is not None and fault.kind in ("lost_reply", "lost_request"):
        cut_connection(request)
    response.headers["x-oauth-scopes"] = ",".join(sorted(platform.scopes))
    return response


def _answer(
    platform: Platform, name: str, arguments: Json, token: str, fault: Fault | None
) -> Response:
    try:
        match fault.kind if fault is not None else None:
            case "rate_limited":
                raise RateLimited(max(1, round(fault.seconds if fault else 1)))
            case "server_error":
                return PlainTextResponse("upstream connect error", status_code=503)
            case "lost_request":
                return PlainTextResponse("", status_code=503)
            case "error":
                raise SlackError(fault.code if fault else "internal_error")
            case _:
                pass
        result = perform(platform, name, arguments, token)
        if fault is not None and fault.kind == "garbled":
            return PlainTextResponse("<html>Something went wrong</html>", media_type="text/html")
        return JSONResponse({"ok": True, **result})
    except SlackError as error:
        return error_response(error)
    except RateLimited as limit:
        body = {"ok": False, "error": "ratelimited"}
        return JSONResponse(body, status_code=429, headers={"Retry-After": str(limit.retry_after)})


def perform(platform: Platform, name: str, arguments: Json, token: str) -> Json:
    method = METHODS.get(name)
    if method is None:
        raise SlackError("unknown_method", req_method=name)
    _authorise(platform, method, token)
    key = str(arguments.get("channel") or "") if method.limited_by_channel else ""
    platform.rate_limits.take(name, key, method.rate, time.monotonic())
    return method.handler(platform, arguments)


def error_response(error: SlackError) -> JSONResponse:
    body: Json = {"ok": False, "error": error.code, **error.extra}
    if error.messages:
        body["response_metadata"] = {"messages": error.messages}
    return JSONResponse(body)


def _authorise(platform: Platform, method: Method, token: str) -> None:
    settings = platform.settings
    if not token:
        raise SlackError("not_authed")
    if token not in (settings.bot_token, settings.app_token):
        raise SlackError("invalid_auth")
    if platform.is_token_revoked:
        raise SlackError("token_revoked")
    if token != (settings.app_token if method.token == "app" else settings.bot_token):
        raise SlackError("not_allowed_token_type")
    if method.scopes and not set(method.scopes) & platform.scopes:
        raise SlackError(
            "missing_scope",
            needed=",".join(method.scopes),
            provided=",".join(sorted(platform.scopes)),
        )


def _token(request: Request, arguments: Json) -> str:
    header = request.headers.get("authorization", "")
    if header.lower().startswith("bearer "):
        return header[7:].strip()
    return str(arguments.get("token") or "")


def _decode(body: bytes, content_type: str) -> Json:
    """JSON, a form, or multipart; in forms the structured arguments are JSON inside a field."""
    if content_type.startswith("application/json"):
        try:
            value = json.loads(body or b"{}")
        except ValueError:
            raise SlackError("invalid_json") from None
        if not isinstance(value, dict):
            raise SlackError("json_not_object")
        arguments = value
    elif content_type.startswith("multipart/form-data"):
        arguments = _multipart(body, content_type)
    else:
        arguments = dict(parse_qsl(body.decode(errors="replace"), keep_blank_values=True))
    for key in _OBJECTS:
        if isinstance(arguments.get(key), str) and arguments[key]:
            try:
                arguments[key] = json.loads(arguments[key])
            except ValueError:
                raise SlackError(
                    "invalid_blocks_format" if key == "blocks" else "invalid_arguments"
                ) from None
    return arguments


def _multipart(body: bytes, content_type: str) -> Json:
    document = BytesParser(policy=HTTP).parsebytes(
        b"Content-Type: " + content_type.encode() + b"\r\n\r\n" + body
    )
    arguments: Json = {}
    for part in document.iter_parts():
        name = part.get_param("name", header="content-disposition")
        content = part.get_payload(decode=True)
        if isinstance(name, str) and isinstance(content, bytes):
            arguments[name] = content.decode(errors="replace")
    return arguments


def _write_down(
    platform: Platform,
    name: str,
    arguments: Json,
    response: Response,
    at: float,
    duration: float,
    fault: Fault | None,
) -> None:
    answer: Any = None
    if isinstance(response, JSONResponse):
        answer = json.loads(bytes(response.body))
    shown = {key: value for key, value in arguments.items() if key != "token"}
    if name == "apps.connections.open" and isinstance(answer, dict) and "url" in answer:
        answer["url"] = "(single use)"
    platform.journal.add(
        {
            "kind": "call",
            "name": name,
            "at": at,
            "duration_ms": round(duration, 2),
            "status": response.status_code,
            "ok": bool(answer and answer.get("ok")),
            "error": answer.get("error") if isinstance(answer, dict) else None,
            "request": shown,
            "response": answer,
            "measures": measure(arguments),
            **({"fault": fault.kind} if fault is not None else {}),
        }
    )
