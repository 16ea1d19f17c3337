"""The baseline of the acknowledgement bench: a Bolt app, served as ours is, whose listener only
acknowledges."""

from __future__ import annotations

import socket

import uvicorn
from slack_bolt import Ack, App
from slack_bolt.adapter.starlette.handler import SlackRequestHandler
from slack_bolt.authorization import AuthorizeResult
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route


def main() -> None:
    known = AuthorizeResult(
        enterprise_id=None, team_id="T0LOCAL", bot_token="xoxb-local", bot_user_id="U0BOT"
    )
    app = App(
        signing_secret="local-signing-secret", authorize=lambda: known, process_before_response=True
    )

    def acknowledge(ack: Ack) -> None:
        ack("ok")

    app.command("/deploy")(acknowledge)
    handler = SlackRequestHandler(app)

    async def events(request: Request) -> Response:
        return await handler.handle(request)

    listener = socket.socket(proto=socket.IPPROTO_TCP)  # else asyncio leaves Nagle's delay on
    listener.bind(("127.0.0.1", 0))
    listener.listen(128)
    print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    server = uvicorn.Server(
        uvicorn.Config(
            Starlette(routes=[Route("/slack/events", events, methods=["POST"])]),
            log_level="warning",
            access_log=False,
        )
    )
    server.run(sockets=[listener])


if __name__ == "__main__":
    main()
