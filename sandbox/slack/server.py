"""The web application: Web API, response URLs, file uploads, Socket Mode, control API and the page,
on one port."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.websockets import WebSocket

from sandbox.slack import control, response_urls
from sandbox.slack.interactions import Interactions
from sandbox.slack.platform import Platform
from sandbox.slack.settings import SlackSettings
from sandbox.slack.web_api import endpoint

PAGE = Path(__file__).parent / "page" / "dist"

# The page loads nothing from elsewhere; data: covers the small images that styles carry.
_PAGE_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self'"
        " data:; font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none';"
        " frame-ancestors 'none'"
    ),
    "Cache-Control": "no-cache",
}


def build_app(settings: SlackSettings) -> Starlette:
    platform = Platform(settings)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        app.state.platform = platform
        app.state.interactions = Interactions(platform)
        yield
        platform.stream.close()
        await app.state.interactions.close()
        await platform.app.close()

    app = Starlette(
        routes=[
            Route("/api/{method}", endpoint.call, methods=["POST", "GET"]),
            Route("/actions/{team}/{key}", response_urls.respond, methods=["POST"]),
            Route("/upload/v1/{id}", _upload, methods=["POST"]),
            Route("/files/{id}/{name:path}", _download),
            WebSocketRoute("/link/", _link),
            *control.ROUTES,
            Route("/", _page),
            Route("/archives/{path:path}", _page),
            Mount("/page", StaticFiles(directory=PAGE, check_dir=False)),
        ],
        lifespan=lifespan,
    )
    app.state.platform = platform
    return app


async def _page(_request: Request) -> Response:
    return FileResponse(PAGE / "index.html", headers=_PAGE_HEADERS)


async def _link(websocket: WebSocket) -> None:
    platform: Platform = websocket.app.state.platform
    await platform.app.serve_socket(websocket)


async def _upload(request: Request) -> Response:
    """Takes the bytes of a file at the URL that files.getUploadURLExternal returned."""
    platform: Platform = request.app.state.platform
    file = platform.workspace.files.get(request.path_params["id"])
    if file is None or file.content is not None:
        return PlainTextResponse("no such upload", status_code=404)
    content = await request.body()
    if len(content) != file.length:
        return PlainTextResponse(
            f"expected {file.length} bytes, got {len(content)}", status_code=400
        )
    file.content = content
    return PlainTextResponse(f"OK - {len(content)}")


async def _download(request: Request) -> Response:
    platform: Platform = request.app.state.platform
    file = platform.workspace.files.get(request.path_params["id"])
    if file is None or file.content is None:
        return PlainTextResponse("no such file", status_code=404)
    # Never rendered by the browser: the app chose these bytes.
    headers = {"Content-Disposition": "attachment", "X-Content-Type-Options": "nosniff"}
    return Response(file.content, media_type="text/plain; charset=utf-8", headers=headers)
