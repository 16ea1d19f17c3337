"""The sandbox as a process, the channel as text, the cluster through the kubernetes client."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

import httpx
from kubernetes import client, config

from tests.card_buttons import newest_offer

Seen = TypeVar("Seen")
CHANNEL = "C0RELEASES"
DEVELOPER, MANAGER, ON_CALL, VIEWER = "U0DEV1", "U0MANAGER", "U0ONCALL", "U0VIEWER"
NAMES = {DEVELOPER: "Developer", MANAGER: "Release manager", ON_CALL: "On-call", VIEWER: "Viewer"}


class TourFailed(Exception):
    """What differs from the expectation; the tour ends with exit code 1."""


@dataclass
class Tour:
    url: str
    kubeconfig: str
    http: httpx.Client
    printed: dict[str, str] = field(default_factory=dict)
    checks: int = 0
    patience: float = 1.0  # how much longer everything may take than on the simulated cluster

    # --- what people do ---

    def say(self, user: str, text: str, *, thread: str | None = None) -> str:
        """Types a line; prints and returns the reply that the person saw at once."""
        self._print(f"\n{NAMES[user]} types: {text}")
        body = {"user": user, "channel": CHANNEL, "text": text} | (
            {"thread_ts": thread} if thread else {}
        )
        answer = self.http.post("/_sandbox/command", json=body).json()
        seen = str(answer.get("text") or "")
        if seen:
            self._print(_indent(f"(only {NAMES[user]} sees) {seen}"))
        return seen

    def click(self, user: str, label: str) -> dict[str, Any]:
        """Clicks the newest button with that label."""
        offer = newest_offer(self.messages(user), label)
        if offer is None:
            raise TourFailed(f"there is no button `{label}` to click")
        self._print(f"\n{NAMES[user]} clicks: {label}")
        body = {
            "user": user,
            "channel": CHANNEL,
            "message_ts": offer.message["ts"],
            "action_id": offer.button["action_id"],
            "block_id": offer.button["block_id"],
            "value": offer.button.get("value"),
        }
        answer: dict[str, Any] = self.http.post("/_sandbox/click", json=body).json()
        return answer

    # --- what people see ---

    def messages(self, user: str = DEVELOPER) -> list[dict[str, Any]]:
        answer = self.http.get(
            "/_sandbox/messages", params={"channel": CHANNEL, "user": user}
        ).json()
        found: list[dict[str, Any]] = answer["messages"]
        return found

    def expect(
        self, text: str, *, within: float = 20.0, user: str = DEVELOPER, after: float = 0.0
    ) -> str:
        """Waits for a message whose text matches this regular expression; prints what is new or has
        changed until then."""

        def look() -> str | None:
            found = self.messages(user)
            for message in found:
                if not message.get(
                    "ephemeral_to"
                ):  # private replies were printed when typed, or are waited for
                    self._show(message, _text_of(message))
            for message in reversed(found):
                told = _text_of(message)
                if float(message["ts"]) >= after and re.search(text, told, re.DOTALL):
                    self._show(message, told)
                    return told
            return None

        return self.until(look, f"a message with `{text}`", within)

    def _show(self, message: dict[str, Any], told: str) -> None:
        if self.printed.get(message["ts"]) != told:
            self.printed[message["ts"]] = told
            where = "thread: " if message.get("thread_ts") not in (None, message["ts"]) else ""
            self._print(_indent(f"{where}{told}"))

    def until(self, look: Callable[[], Seen | None], what: str, within: float = 20.0) -> Seen:
        within *= self.patience
        ends = time.monotonic() + within
        while True:
            found = look()
            if found:
                self.checks += 1
                return found
            if time.monotonic() > ends:
                last = "\n".join(_indent(_text_of(message)) for message in self.messages()[-4:])
                raise TourFailed(f"not seen within {within:.0f} s: {what}\nlast messages:\n{last}")
            time.sleep(0.05)

    def now(self) -> float:
        return time.time()

    # --- the cluster ---

    def api(self) -> client.ApiClient:
        api: client.ApiClient = config.new_client_from_config(self.kubeconfig)
        return api

    def images(self, app: str) -> set[str]:
        """Images of the app's pods that are not ending."""
        pods: list[Any] = (
            client.CoreV1Api(self.api())
            .list_namespaced_pod("default", label_selector=f"app={app}")
            .items
        )
        return {
            pod.spec.containers[0].image for pod in pods if pod.metadata.deletion_timestamp is None
        }

    def deployment(self, app: str) -> Any:
        return client.AppsV1Api(self.api()).read_namespaced_deployment(app, "default")

    def check(self, claim: str, *, holds: bool, but: str = "") -> None:
        if not holds:
            raise TourFailed(f"failed: {claim} {but}")
        self.checks += 1
        self._print(f"  ✓ {claim}")

    def _print(self, line: str) -> None:
        print(line, flush=True)


def _text_of(message: dict[str, Any]) -> str:
    return (
        str(message.get("text", "")).replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
    )


def _indent(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.splitlines())


@contextlib.contextmanager
def running_sandbox(*arguments: str) -> Iterator[Tour]:
    """Starts `pilothouse sandbox` as a person would; Ctrl-C must leave nothing behind."""
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(
        [sys.executable, "-m", "bot", "sandbox", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment,
    )
    assert process.stdout is not None
    url = kubeconfig = ""
    said: list[str] = []
    try:
        for line in process.stdout:
            print(line, end="", flush=True)
            said.append(line)
            url = url or "".join(re.findall(r"Open (http://\S+)", line))
            kubeconfig = kubeconfig or "".join(re.findall(r"--kubeconfig (\S+)", line))
            if url and "Ctrl-C" in line:
                break
        if not url:
            raise TourFailed("the sandbox did not start:\n" + "".join(said))
        with httpx.Client(base_url=url, timeout=30.0, trust_env=False) as http:
            yield Tour(url, kubeconfig, http)
    finally:
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=30)
        print(rest, flush=True)
    folder = os.path.dirname(kubeconfig)
    if process.returncode != 0 or os.path.exists(folder):
        raise TourFailed(
            f"the sandbox did not end cleanly: exit code {process.returncode}, folder left:"
            f" {os.path.exists(folder)}"
        )
