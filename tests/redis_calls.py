"""The Redis commands that code can send, read from its text."""

from __future__ import annotations

import ast
import hashlib
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType

import rq.executions
import rq.intermediate_queue
import rq.job
import rq.queue
import rq.registry
import rq.results
import rq.scripts
import rq.worker.base
import rq.worker_registration

import bot.store.scripts
from bot.store.scripts import source

_CALL = re.compile(r"""redis\.p?call\(\s*['"](\w+)['"]""")
_FUNCTION = re.compile(
    r"^local function (\w+)([^\n]* end$|[^\n]*\n.*?^end$)", re.MULTILINE | re.DOTALL
)
_PRELUDE = "prelude"
_RQ = (rq.executions, rq.intermediate_queue, rq.job, rq.queue, rq.registry, rq.results, rq.scripts,
       rq.worker.base, rq.worker_registration)  # fmt: skip
_OURS = ("bot/store", "bot/work_queue.py", "jobs")
_CLIENTS = re.compile(r"(_?client|_?connection|_?pipe(line)?|conn|p)$")
_NAMES = {"delete": "del", "client_info": "client|info", "client_setname": "client|setname",
          "config_get": "config|get"}  # fmt: skip
"""Of redis-py's methods, where it is not the command's."""


def scripts() -> tuple[str, ...]:
    folder = Path(bot.store.scripts.__path__[0])
    return tuple(sorted(one.stem for one in folder.glob("*.lua") if one.stem != _PRELUDE))


@cache
def script_of(digest: str) -> str:
    """The script's name; "" for one that is not ours."""
    named = {hashlib.sha1(source(name).encode()).hexdigest(): name for name in scripts()}
    return named.get(digest, "")


@cache
def called_by_script(name: str) -> frozenset[str]:
    """Also by the functions of the prelude that it uses."""
    text = Path(bot.store.scripts.__path__[0], f"{name}.lua").read_text(encoding="utf-8")
    prelude, top = _prelude()
    reached = text + top
    while called := [name for name in prelude if f"{name}(" in reached]:
        reached += "".join(prelude.pop(name) for name in called)
    return frozenset(call.lower() for call in _CALL.findall(reached))


def _prelude() -> tuple[dict[str, str], str]:
    """Its functions by name, and what it does itself."""
    text = Path(bot.store.scripts.__path__[0], f"{_PRELUDE}.lua").read_text(encoding="utf-8")
    return dict(_FUNCTION.findall(text)), _FUNCTION.sub("", text)


def called_by_rq() -> frozenset[str]:
    """By the modules of RQ that a worker and a queue use."""
    return frozenset(name for module in _RQ for name in _called_by(_path(module)))


def called_by_us() -> frozenset[str]:
    """By the store, the queue and the jobs, beside the scripts."""
    top = Path(bot.store.scripts.__path__[0]).parents[2]
    files = (
        file
        for one in _OURS
        for file in ([top / one] if one.endswith(".py") else (top / one).rglob("*.py"))
    )
    return frozenset(name for file in files for name in _called_by(file))


def _path(module: ModuleType) -> Path:
    assert module.__file__ is not None
    return Path(module.__file__)


def _called_by(file: Path) -> Iterator[str]:
    text = file.read_text(encoding="utf-8")
    yield from (call.lower() for call in _CALL.findall(text))
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        holder = ast.unparse(node.func.value).rpartition(".")[2]
        if _CLIENTS.match(holder):
            yield _NAMES.get(node.func.attr, node.func.attr)
