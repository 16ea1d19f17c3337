"""`POST /actions/<team>/<key>`: an app replies to a command or click later, up to five times within
thirty minutes."""

from __future__ import annotations

import json
import time
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from sandbox.slack.errors import SlackError
from sandbox.slack.grants import ResponseUrl
from sandbox.slack.messages import check_content
from sandbox.slack.platform import Platform

Json = dict[str, Any]


async def respond(request: Request) -> Response:
    platform: Platform = request.app.state.platform
    at, started = time.time(), time.perf_counter()
    content: Json = {}
    try:
        try:
            content = json.loads(await request.body())
        except ValueError:
            raise SlackError("invalid_payload") from None
        if not isinstance(content, dict):
            raise SlackError("invalid_payload")
        use(platform, request.path_params["key"], content)
        response: Response = PlainTextResponse("ok")
        problem = None
    except SlackError as error:
        gone = error.code in ("used_url", "expired_url")
        body: Json = {"ok": False, "error": error.code}
        if error.messages:
            body["response_metadata"] = {"messages": error.messages}
        response = JSONResponse(
            body, status_code=404 if gone else 400 if error.code.startswith("invalid") else 200
        )
        problem = error.code
    platform.journal.add(
        {
            "kind": "response_url",
            "name": "response_url",
            "key": request.path_params["key"],
            "at": at,
            "duration_ms": round((time.perf_counter() - started) * 1000, 2),
            "status": response.status_code,
            "ok": problem is None,
            "error": problem,
            "request": content,
            "response": bytes(response.body).decode(),
        }
    )
    return response


def use(platform: Platform, key: str, content: Json) -> None:
    """Checks the content first: a refused reply does not count towards the five."""
    is_deletion = bool(content.get("delete_original"))
    text, blocks = ("", []) if is_deletion else check_content(content)
    grant = platform.grants.use_response_url(key)
    place = platform.workspace.conversation(grant.channel_id)
    original = None
    if grant.message_ts is not None:
        original = place.ephemerals.get(grant.message_ts) or place.messages.get(grant.message_ts)
    if is_deletion:
        if original is not None:
            platform.messages.delete(place, original)
        return
    if content.get("replace_original") and original is not None:
        platform.messages.edit(place, original, {"text": text, "blocks": blocks or None})
        return
    _post(platform, grant, content, {"text": text, **({"blocks": blocks} if blocks else {})})


def _post(platform: Platform, grant: ResponseUrl, content: Json, message: Json) -> None:
    place = platform.workspace.conversation(grant.channel_id)
    thread_ts = content.get("thread_ts") or None
    if content.get("response_type") == "in_channel":
        platform.messages.post_as_app(place, message, thread_ts)
        return
    author = platform.messages.app_author()
    platform.messages.post_ephemeral(place, grant.user_id, {**author, **message}, thread_ts)
