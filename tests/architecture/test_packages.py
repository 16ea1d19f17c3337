from __future__ import annotations

import ast
import doctest
import importlib
import logging
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from importlinter import configuration
from importlinter.application import use_cases

from tests.architecture.sources import (
    TOP,
    body_lines,
    functions,
    nodes_of,
    python_files,
    text_of,
    tree_of,
)

PURE = ("bot/releases", "bot/policy", "bot/commands", "bot/slack/blocks")
# Reading a clock, the environment or entropy, or telling a log, is what a pure function is not
# allowed.
IMPURE_MODULES = {
    "time",
    "random",
    "secrets",
    "uuid",
    "os",
    "socket",
    "subprocess",
    "threading",
    "logging",
    "asyncio",
    "io",
}
OWNED_BY_RUNTIME = {"time", "random", "uuid", "threading", "asyncio", "multiprocessing"}
IMPURE_CALLS = {"now", "utcnow", "today", "open", "print", "input"}
PURE_LIBRARIES = {"orjson", "rapidfuzz", "re2"}  # arithmetic on what they are given, no more
VAGUE_NAMES = {
    "utils",
    "util",
    "helpers",
    "helper",
    "common",
    "manager",
    "managers",
    "misc",
    "lib",
    "shared",
    "base",
}
LONG_FILE_LINES = 500


def packages() -> tuple[Path, ...]:
    return tuple(
        sorted(
            {path.parent for path in python_files("pilothouse", "bot", "jobs", "config", "sandbox")}
        )
    )


def imported_modules(path: Path) -> Iterator[str]:
    for node in nodes_of(path):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            yield node.module


def test_imports_point_one_way_and_every_module_of_bot_has_a_layer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without its command, which configures logging: no logger that exists would log any more, nor
    any later test of this process see a line."""
    monkeypatch.chdir(TOP)
    log = logging.getLogger(__name__)
    configuration.configure()
    assert use_cases.lint_imports(config_filename="pyproject.toml", cache_dir=None)
    assert not log.disabled


@pytest.mark.parametrize("package", packages(), ids=str)
def test_every_package_documents_what_belongs_in_it(package: Path) -> None:
    start = package / "__init__.py"
    assert start in python_files(), f"{package} has no __init__.py"
    docstring = ast.get_docstring(tree_of(start)) or ""
    assert len(docstring.split()) >= 8, f"{start} does not say what belongs in it and what does not"


def test_no_module_has_a_vague_name() -> None:
    vague = [str(path) for path in python_files() if VAGUE_NAMES & {path.stem, *path.parent.parts}]
    assert vague == []


def test_pure_packages_use_the_standard_library_and_each_other_only() -> None:
    strangers = [
        f"{path}: {module}"
        for path in python_files(*PURE)
        for module in imported_modules(path)
        if module.partition(".")[0] not in {*sys.stdlib_module_names, "bot", "config"}
        and module.partition(".")[0] not in PURE_LIBRARIES
    ]
    assert strangers == []


def test_pure_packages_read_no_clock_no_environment_and_no_entropy_and_log_nothing() -> None:
    impure = [
        f"{path}: imports {module}"
        for path in python_files(*PURE)
        for module in imported_modules(path)
        if module.partition(".")[0] in IMPURE_MODULES
    ]
    for path in python_files(*PURE):
        for node in nodes_of(path):
            if isinstance(node, ast.Call):
                called = (
                    node.func.attr
                    if isinstance(node.func, ast.Attribute)
                    else getattr(node.func, "id", "")
                )
                if called in IMPURE_CALLS:
                    impure.append(f"{path}:{node.lineno}: calls {called}()")
    assert impure == []


def test_operations_and_the_store_reach_time_names_and_threads_through_the_runtime_only() -> None:
    past_it = [
        f"{path}: imports {module}"
        for path in python_files("bot/operations", "bot/store", "bot/work_queue.py")
        for module in imported_modules(path)
        if module.partition(".")[0] in OWNED_BY_RUNTIME
    ]
    past_it += [
        f"{path}: imports {', '.join(one.name for one in node.names)}"
        for path in python_files("bot/operations", "bot/store", "bot/work_queue.py")
        for node in nodes_of(path)
        if isinstance(node, ast.ImportFrom) and node.module == "concurrent.futures"
        if {one.name for one in node.names} != {"Future"}
    ]
    assert past_it == []


@pytest.mark.parametrize(
    "path", [path for path in python_files(*PURE, "config") if ">>>" in text_of(path)], ids=str
)
def test_doctests_of_pure_modules_pass(path: Path) -> None:
    module = importlib.import_module(".".join(path.with_suffix("").parts))
    results = doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert results.attempted and not results.failed


def test_every_file_of_operations_has_the_function_it_is_named_for() -> None:
    operations = [
        path
        for path in python_files("bot/operations")
        if "_" in path.stem and path.stem != "__init__"
    ]
    assert operations, "bot/operations is empty"
    verbless = [
        str(path) for path in operations if not _defines(path, path.stem) and not _is_a_noun(path)
    ]
    assert verbless == []


def _defines(path: Path, name: str) -> bool:
    return any(function.name == name for function in functions(tree_of(path)))


def _is_a_noun(path: Path) -> bool:
    """A file of what several operations share says so: it holds types, and its docstring does not
    begin with a verb's result."""
    return not any(isinstance(node, ast.FunctionDef) for node in tree_of(path).body)


# It takes the operations' own replies, and ports lies below operations: so it stands where those
# replies are known.
RENDER = (Path("bot/operations/context.py"), "Render")


def test_protocols_are_defined_only_in_ports() -> None:
    elsewhere = [
        f"{path}:{node.lineno}: {node.name}"
        for path in python_files("bot", "jobs", "config")
        for node in nodes_of(path)
        if isinstance(node, ast.ClassDef)
        and path != Path("bot/ports.py")
        and (path, node.name) != RENDER
        and any(isinstance(base, ast.Name) and base.id == "Protocol" for base in node.bases)
    ]
    assert elsewhere == []


@pytest.mark.parametrize("job", ["advance_release", "run_query", "deliver_release", "sweep"])
def test_a_job_is_an_entry_point_of_at_most_twenty_lines(job: str) -> None:
    path = Path("jobs") / f"{job}.py"
    entry = next((function for function in functions(tree_of(path)) if function.name == job), None)
    assert entry is not None, f"{path} has no function {job}"
    assert body_lines(entry) <= 20


def test_a_listener_is_at_most_fifteen_lines() -> None:
    long = [
        f"{path}:{function.lineno}: {function.name} has {body_lines(function)} lines"
        for path in python_files("bot/slack/listeners")
        for function in functions(tree_of(path))
        # What registers them holds them all; each of them counts by itself.
        if body_lines(function) > 15
        and not any(isinstance(inner, ast.FunctionDef) for inner in function.body)
    ]
    assert long == []


def test_only_the_settings_are_read_from_the_environment() -> None:
    """A module that reads a variable itself misses what ``NAME_FILE`` names, and its mistakes. A
    credential plugin inherits all of them and reads none here."""
    direct = [
        f"{path}:{node.lineno}"
        for path in python_files("bot", "jobs", "config")
        for node in nodes_of(path)
        if isinstance(node, ast.Attribute)
        and node.attr in ("environ", "environb", "getenv", "putenv")
        and id(node) not in _given_to_read_settings(path)
        and path.name != "credentials.py"
    ]
    assert direct == []


def _given_to_read_settings(path: Path) -> set[int]:
    return {
        id(argument)
        for node in nodes_of(path)
        if isinstance(node, ast.Call)
        and getattr(node.func, "id", "") in ("read_settings", "named_files", "read_api_access")
        for argument in node.args
    }


def test_no_signal_handler_takes_a_lock() -> None:
    """`threading.Event.set` in a handler can deadlock: bot.stop_signal explains it."""
    locking = [
        f"{path}:{node.lineno}"
        for path in python_files("bot", "jobs", "config", "sandbox")
        for node in nodes_of(path)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and ast.unparse(node.func) == "signal.signal"
        and any(
            isinstance(inner, ast.Attribute) and inner.attr in ("set", "acquire", "notify", "put")
            for inner in ast.walk(node.args[1])
        )
    ]
    assert locking == []


def test_long_files_are_reported() -> None:
    for path in python_files():
        lines = text_of(path).count("\n")
        if lines > LONG_FILE_LINES:
            warnings.warn(f"{path} has {lines} lines: is it one topic?", stacklevel=1)
        assert lines <= 2 * LONG_FILE_LINES, f"{path} has {lines} lines: split it by topic"
