"""Runs the local Slack in a thread, with methods that act as a person would."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Any, Self

import httpx
import uvicorn

from sandbox.slack.connections import TrackedProtocol
from sandbox.slack.server import build_app
from sandbox.slack.settings import SlackSettings

Json = dict[str, Any]

START_SECONDS = 30.0


class LocalSlack:
    """A context manager: the server runs while it is entered, on a port of 127.0.0.1 that the
    system chooses (port 0).

    `with LocalSlack(bot_url=..., signing_secret=...) as slack: slack.command("U0DEV1",
    "C0RELEASES", "/help")`. The keyword arguments are the fields of `SlackSettings`. Give the app
    `slack.api_url` as the base URL of the Web API. `seen_at` is the URL that leads an app in
    another network here.
    """

    def __init__(
        self,
        settings: SlackSettings | None = None,
        *,
        port: int = 0,
        seen_at: str = "",
        **changes: Any,
    ) -> None:
        self.settings = replace(settings or SlackSettings(), **changes)
        self._port = port
        self._seen_at = seen_at
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None
        self._http: httpx.Client | None = None
        self.url = ""

    @property
    def api_url(self) -> str:
        return f"{self._seen_at or self.url}/api/"

    def start(self) -> Self:
        # asyncio sends small replies at once only when the protocol is named; otherwise each
        # reply took 44 ms.
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self._port))
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        app = build_app(self.settings)
        app.state.platform.base_url = self._seen_at or self.url
        self._server = make_server(app)
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [listener]}, name="local-slack", daemon=True
        )
        self._thread.start()
        deadline = time.monotonic() + START_SECONDS
        while not self._server.started:
            if not self._thread.is_alive() or time.monotonic() > deadline:
                listener.close()
                raise RuntimeError(
                    "the local Slack did not start: its port or its page may be missing"
                )
            time.sleep(0.005)
        # The server closes an idle connection after 5 s: a client that keeps it as long may send
        # its next request into the end.
        limits = httpx.Limits(keepalive_expiry=2.0)
        self._http = httpx.Client(base_url=self.url, timeout=30.0, limits=limits, trust_env=False)
        return self

    def stop(self) -> None:
        if self._http is not None:
            self._http.close()
        if self._server is not None and self._thread is not None:
            self._server.should_exit = True
            self._thread.join(timeout=10.0)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    # --- what people do ---

    def command(self, user: str, channel: str, text: str, thread_ts: str | None = None) -> Json:
        """A typed line. `text` and `message` of the result are what the person saw at once,
        `ack_ms` how soon."""
        return self.post("command", user=user, channel=channel, text=text, thread_ts=thread_ts)

    def click(self, user: str, channel: str, message_ts: str, action_id: str, **more: Any) -> Json:
        return self.post(
            "click", user=user, channel=channel, message_ts=message_ts, action_id=action_id, **more
        )

    def choose(self, user: str, view_id: str, action_id: str, value: Any = None) -> Json:
        """A button or a choice inside a modal or the home tab."""
        return self.post("click", user=user, view_id=view_id, action_id=action_id, value=value)

    def options(self, user: str, action_id: str, query: str, **place: Any) -> Json:
        """`place` is view_id, or channel and message_ts."""
        return self.post("options", user=user, action_id=action_id, query=query, **place)

    def submit(self, user: str, values: Json | None = None, view_id: str | None = None) -> Json:
        return self.post("submit", user=user, values=values, view_id=view_id)

    def close_view(self, user: str) -> Json:
        return self.post("close", user=user)

    def open_home(self, user: str) -> Json:
        return self.post("home", user=user)

    def delete_message(self, channel: str, ts: str) -> Json:
        return self.post("delete", channel=channel, ts=ts)

    # --- what people see ---

    def messages(
        self,
        channel: str,
        user: str | None = None,
        thread_ts: str | None = None,
        *,
        after: str = "",
        about: str = "",
    ) -> list[Json]:
        """Oldest first, after the time stamp `after`, with `about` in the text."""
        query = {
            "channel": channel,
            "user": user,
            "thread_ts": thread_ts,
            "after": after or None,
            "about": about or None,
        }
        found: list[Json] = self.get("messages", **query)["messages"]
        return found

    def views(self, user: str) -> list[Json]:
        found: list[Json] = self.get("views", user=user)["views"]
        return found

    def home(self, user: str) -> Json | None:
        found: Json | None = self.get("views", user=user)["home"]
        return found

    def wait_for(
        self, seen: Callable[[], Any], seconds: float = 30.0, what: str = "what was expected"
    ) -> Any:
        """Polls `seen` until it returns something true; raises TimeoutError after `seconds`."""
        deadline = time.monotonic() + seconds
        while True:
            found = seen()
            if found:
                return found
            if time.monotonic() > deadline:
                raise TimeoutError(f"{what} did not happen within {seconds} s")
            time.sleep(0.01)

    # --- the platform ---

    def connect(self, bot_url: str, *, verify: bool = False) -> Json:
        return self.post("connect", bot_url=bot_url, verify=verify)

    def install(self, manifest: str) -> Json:
        """`manifest` is YAML or JSON."""
        assert self._http is not None
        answer: Json = self._http.post("/_sandbox/manifest", content=manifest.encode()).json()
        return answer

    def log(self, kind: str | None = None, name: str | None = None, after: int = 0) -> list[Json]:
        found: list[Json] = self.get("log", kind=kind, name=name, after=after)["entries"]
        return found

    def fault(self, kind: str, **rule: Any) -> Json:
        return self.post("faults", kind=kind, **rule)

    def clear_faults(self) -> Json:
        return self.post("faults", clear=True)

    def channel(self, channel: str, **changes: Any) -> Json:
        return self.post("channel", channel=channel, **changes)

    def group(self, group: str, members: Sequence[str]) -> Json:
        return self.post("group", group=group, members=list(members))

    def person(self, user: str, *, is_restricted: bool = False, is_deleted: bool = False) -> Json:
        return self.post("person", user=user, is_restricted=is_restricted, is_deleted=is_deleted)

    def configure(self, **changes: Any) -> Json:
        return self.post("configure", **changes)

    def disconnect(self, **how: Any) -> Json:
        return self.post("disconnect", **how)

    def reset(self) -> Json:
        return self.post("reset")

    def post(self, action: str, **body: Any) -> Json:
        assert self._http is not None, "enter the local Slack first"
        kept = {key: value for key, value in body.items() if value is not None}
        answer: Json = self._http.post(f"/_sandbox/{action}", json=kept).json()
        return answer

    def get(self, what: str, **query: Any) -> Json:
        assert self._http is not None, "enter the local Slack first"
        kept = {key: str(value) for key, value in query.items() if value is not None}
        answer: Json = self._http.get(f"/_sandbox/{what}", params=kept).json()
        return answer


def make_server(app: Any) -> uvicorn.Server:
    config = uvicorn.Config(
        app,
        http=TrackedProtocol,
        ws="websockets-sansio",
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=1,
        lifespan="on",
    )
    return _Server(config)


class _Server(uvicorn.Server):
    """uvicorn waits for what is open before the app hears of the end, and an open page reads on."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self.config.app.state.platform.stream.close()  # type: ignore[union-attr]
        await super().shutdown(sockets)
