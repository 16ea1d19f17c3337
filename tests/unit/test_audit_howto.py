"""What an auditor reads to type is typed here, line by line."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from redis import Redis

from bot.audit import main
from bot.ports import AuditLine
from bot.store import RedisReleaseStore
from tests.builders import T0
from tests.reference_pages import DOCS

PAGE = DOCS / "how-to" / "audit.md"
_COMMAND = re.compile(r"pilothouse audit ([a-z][^`\n|]*)")


def commands() -> list[str]:
    return sorted({one.strip() for one in _COMMAND.findall(PAGE.read_text(encoding="utf-8"))})


@pytest.mark.parametrize("command", commands())
def test_each_command_of_the_page_answers(
    command: str,
    redis_client: Redis,
    redis_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store = RedisReleaseStore(redis_client)
    line = AuditLine(T0, "hello-42", "hello", "voted", "approved", "U0ANN", name="Ann")
    store.write_audit(line, operation="1")
    witness = tmp_path / "witness.txt"
    witness.write_text(f"{store.seal_audit()}\n", encoding="utf-8")
    monkeypatch.setenv("REDIS_URL", redis_url)
    words = [str(witness) if word in ("FILE", "-") else word for word in shlex.split(command)]
    assert main(words) == 0


def test_the_page_has_each_subcommand() -> None:
    assert {one.split()[0] for one in commands()} == {"verify", "show", "export", "erase"}
