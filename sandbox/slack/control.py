"""The control API under /_sandbox/, used by the page, tests and tours. JSON in, JSON out.

Every call returns 200 with `ok`, or 400 with `error` and a line that says what to do.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from sandbox.slack.errors import SlackError
from sandbox.slack.interactions import Interactions
from sandbox.slack.manifest import read_manifest
from sandbox.slack.platform import Platform
from sandbox.slack.rate_limits import RateLimits

Json = dict[str, Any]


class BadRequest(Exception):
    """An invalid control call; the message is for the person who wrote it."""


def _parts(request: Request) -> tuple[Platform, Interactions]:
    return request.app.state.platform, request.app.state.interactions


async def _body(request: Request, *required: str) -> Json:
    raw = await request.body()
    try:
        value = json.loads(raw) if raw else {}
    except ValueError:
        raise BadRequest("the body is not JSON") from None
    if not isinstance(value, dict):
        raise BadRequest("the body is not a JSON object")
    for name in required:
        if value.get(name) in (None, ""):
            raise BadRequest(f"`{name}` is missing")
    return value


def _answering(
    handler: Callable[[Request], Awaitable[Json]],
) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        try:
            return JSONResponse(await handler(request))
        except SlackError as error:
            return JSONResponse(
                {"ok": False, "error": error.code, "details": error.messages}, status_code=400
            )
        except BadRequest as error:
            return JSONResponse(
                {"ok": False, "error": "bad_request", "details": [str(error)]}, status_code=400
            )

    return answer


async def command(request: Request) -> Json:
    """{user, channel, text, thread_ts?}: a line typed in the composer."""
    body = await _body(request, "user", "channel", "text")
    _, interactions = _parts(request)
    return await interactions.type_line(
        body["user"], body["channel"], body["text"], body.get("thread_ts")
    )


async def click(request: Request) -> Json:
    """{user, action_id, channel + message_ts | view_id, block_id?, value?, values?}."""
    body = await _body(request, "user", "action_id")
    _, interactions = _parts(request)
    return await interactions.act(
        body["user"],
        action_id=body["action_id"],
        channel=body.get("channel"),
        message_ts=body.get("message_ts"),
        view_id=body.get("view_id"),
        block_id=body.get("block_id"),
        value=body.get("value"),
        values=body.get("values"),
    )


async def options(request: Request) -> Json:
    """{user, action_id, query, view_id | channel + message_ts}: typing into an external select."""
    body = await _body(request, "user", "action_id")
    _, interactions = _parts(request)
    return await interactions.load_options(
        body["user"],
        action_id=body["action_id"],
        query=str(body.get("query", "")),
        view_id=body.get("view_id"),
        channel=body.get("channel"),
        message_ts=body.get("message_ts"),
        block_id=body.get("block_id"),
    )


async def submit(request: Request) -> Json:
    """{user, view_id?, values}: view_id is optional while exactly one modal is open."""
    body = await _body(request, "user")
    platform, interactions = _parts(request)
    view_id = body.get("view_id")
    if not view_id:
        stack = platform.views.stack(body["user"])
        if not stack:
            raise BadRequest("this person has no modal open")
        view_id = stack[-1]["id"]
    return await interactions.submit(body["user"], view_id, body.get("values"))


async def close(request: Request) -> Json:
    """{user, all?}: the close button of a modal."""
    body = await _body(request, "user")
    _, interactions = _parts(request)
    return await interactions.close_view(body["user"], all_of_them=bool(body.get("all")))


async def home(request: Request) -> Json:
    """{user}: opens the app's home tab."""
    body = await _body(request, "user")
    _, interactions = _parts(request)
    return await interactions.open_home(body["user"])


async def views(request: Request) -> Json:
    platform, _ = _parts(request)
    user = request.query_params.get("user", "")
    return {"ok": True, "views": platform.views.stack(user), "home": platform.views.home(user)}


async def messages(request: Request) -> Json:
    """?channel=&user=&thread_ts=&after=&about=: oldest first; with `user` also includes messages
    that only this person sees.

    `after` is a time stamp, `about` a part of the text: who waits for one message need not read the
    whole channel each time.
    """
    platform, _ = _parts(request)
    query = request.query_params
    conversation = platform.workspace.conversation(query.get("channel", ""))
    found = platform.messages.visible_to(conversation, query.get("user"))
    thread_ts = query.get("thread_ts")
    if thread_ts:
        found = [
            message for message in found if message.get("thread_ts", message["ts"]) == thread_ts
        ]
    after, about = query.get("after", ""), query.get("about", "")
    found = [
        message for message in found if message["ts"] > after and about in message.get("text", "")
    ]
    return {"ok": True, "channel": conversation.id, "messages": found}


async def workspace(request: Request) -> Json:
    platform, _ = _parts(request)
    return {"ok": True, **platform.describe(), "faults": platform.faults.as_json()}


async def log(request: Request) -> Json:
    """?after=ID&kind=call|delivery|response_url&name=chat.update&limit=N: the newest N, oldest
    first."""
    platform, _ = _parts(request)
    query = request.query_params
    after, limit = query.get("after", "0"), query.get("limit", "20000")
    if not after.isdigit() or not limit.isdigit():
        raise BadRequest("`after` and `limit` are whole numbers")
    entries = platform.journal.entries(int(after), query.get("kind"), query.get("name"))
    return {"ok": True, "entries": entries[-int(limit) :] if int(limit) else []}


async def faults(request: Request) -> Json:
    """GET lists; POST adds one rule {kind, method, channel, times, seconds, code}; {"clear": true}
    removes all."""
    platform, _ = _parts(request)
    if request.method == "POST":
        body = await _body(request)
        if body.pop("clear", False):
            platform.faults.clear()
        if body:
            try:
                platform.faults.add(body)
            except ValueError as error:
                raise BadRequest(str(error)) from None
    return {"ok": True, "faults": platform.faults.as_json()}


async def reset(request: Request) -> Json:
    platform, _ = _parts(request)
    platform.reset()
    return {"ok": True}


async def manifest(request: Request) -> Json:
    """The body is an app manifest, YAML or JSON."""
    platform, _ = _parts(request)
    try:
        installed = read_manifest((await request.body()).decode())
    except ValueError as error:
        raise BadRequest(str(error)) from None
    platform.install(installed)
    return {"ok": True, "commands": sorted(installed.commands), "events": sorted(installed.events)}


async def connect(request: Request) -> Json:
    """{bot_url, verify?}: where the app listens for signed requests."""
    body = await _body(request, "bot_url")
    platform, interactions = _parts(request)
    platform.app.bot_url = str(body["bot_url"])
    verified = await interactions.verify_url() if body.get("verify") else None
    platform.stream.publish("workspace", platform.describe())
    return {"ok": verified is not False, "bot_url": platform.app.bot_url, "verified": verified}


async def disconnect(request: Request) -> Json:
    """{reason?, abruptly?}: asks Socket Mode clients to reconnect, or cuts their connections."""
    body = await _body(request)
    platform, _ = _parts(request)
    left = await platform.app.disconnect_sockets(
        str(body.get("reason", "refresh_requested")), abruptly=bool(body.get("abruptly"))
    )
    return {"ok": True, "connections": left}


async def channel(request: Request) -> Json:
    """{channel, archived?, bot_is_member?, name?}: changes a channel; creates it when it is new and
    has a `name`."""
    body = await _body(request, "channel")
    platform, _ = _parts(request)
    place = platform.change_channel(
        str(body["channel"]),
        name=body.get("name"),
        archived=body.get("archived"),
        bot_is_member=body.get("bot_is_member"),
    )
    return {"ok": True, "channel": platform.workspace.conversation_json(place)}


async def group(request: Request) -> Json:
    """{group, members}: sets the members of a user group."""
    body = await _body(request, "group")
    platform, _ = _parts(request)
    members = body.get("members")
    if not isinstance(members, list):
        raise BadRequest("`members` is a list of people's ids")
    platform.change_group(str(body["group"]), [str(member) for member in members])
    return {"ok": True}


async def person(request: Request) -> Json:
    """{user, is_restricted?, is_deleted?}: makes someone a guest, deactivates or restores them."""
    body = await _body(request, "user")
    platform, _ = _parts(request)
    platform.change_person(
        str(body["user"]),
        is_restricted=bool(body.get("is_restricted")),
        is_deleted=bool(body.get("is_deleted")),
    )
    return {"ok": True}


async def configure(request: Request) -> Json:
    """{rate_scale?, scopes?, token_revoked?}: what the workspace enforces from now on."""
    body = await _body(request)
    platform, _ = _parts(request)
    if "rate_scale" in body:
        platform.rate_limits = RateLimits(float(body["rate_scale"]))
    if "scopes" in body:
        platform.scopes = frozenset(str(scope) for scope in body["scopes"])
    if "token_revoked" in body:
        platform.is_token_revoked = bool(body["token_revoked"])
    return {"ok": True, "rate_scale": platform.rate_limits.scale, "scopes": sorted(platform.scopes)}


async def delete_message(request: Request) -> Json:
    """{channel, ts}: a person deletes a message, including one of the app's."""
    body = await _body(request, "channel", "ts")
    platform, _ = _parts(request)
    place = platform.workspace.conversation(body["channel"])
    message = place.ephemerals.get(body["ts"]) or platform.workspace.message(place, body["ts"])
    platform.messages.delete(place, message)
    return {"ok": True}


async def stream(request: Request) -> Response:
    """?user=: server-sent events of what that person sees; without `user`, all events."""
    platform, _ = _parts(request)
    lines = platform.stream.read(request.query_params.get("user"))
    return StreamingResponse(
        lines,
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


ROUTES = [
    Route("/_sandbox/stream", stream),
    *(
        Route(f"/_sandbox/{name}", _answering(handler), methods=methods)
        for name, handler, methods in (
            ("command", command, ["POST"]),
            ("click", click, ["POST"]),
            ("options", options, ["POST"]),
            ("submit", submit, ["POST"]),
            ("close", close, ["POST"]),
            ("home", home, ["POST"]),
            ("views", views, ["GET"]),
            ("messages", messages, ["GET"]),
            ("workspace", workspace, ["GET"]),
            ("log", log, ["GET"]),
            ("faults", faults, ["GET", "POST"]),
            ("reset", reset, ["POST"]),
            ("manifest", manifest, ["POST"]),
            ("connect", connect, ["POST"]),
            ("disconnect", disconnect, ["POST"]),
            ("channel", channel, ["POST"]),
            ("group", group, ["POST"]),
            ("person", person, ["POST"]),
            ("configure", configure, ["POST"]),
            ("delete", delete_message, ["POST"]),
        )
    ),
]
