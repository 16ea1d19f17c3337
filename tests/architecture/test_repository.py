from __future__ import annotations

import ast
import re
import stat
import sys
import tomllib
from collections.abc import Iterable
from pathlib import Path

import pytest

from bot.__main__ import PURPOSES
from sandbox.images import BASE_PYTHON
from tests.architecture.sources import (
    OF_AN_EXTRA,
    TOP,
    nodes_of,
    python_files,
    text_files,
    text_of,
    tracked_files,
    tree_of,
)

# Written with a class in each, so that this file does not hold what it looks for.
REGISTRY_HOSTS = re.compile(
    r"py[p]i\.org|python[h]osted\.org|npm[j]s\.org|npm[j]s\.com|golan[g]\.org/dl|(proxy|sum)\.golan[g]\.org|debia[n]\.org|crate[s]\.io"
)
MACHINE_PATHS = re.compile(r"(^|[^a-zA-Z0-9_./-])/(wor[k]|far[m]|roo[t]|hom[e]/[a-z]+)/")
BANNED_IN_PYTHON = {
    "a mock where a port with a double should stand": re.compile(
        r"unittest[.]mock|Magic[M]ock|monkeypatch[.]setattr"
    ),
    "unfinished or swallowed": re.compile(
        r"\b(TO[D]O|FIX[M]E|X[X]X)\b|NotImplemented[E]rror"
        r"|except [E]xception(?!:  # logged| as error:  # (reported|judged))|except:[ \n]"
    ),
    "skipped for good": re.compile(r"pytest[.]mark[.](skip|xfail)\b"),
}
LOCKS = ("runtime", "sandbox", "dev", "build", "uv", "go")


def lines_with(pattern: re.Pattern[str], paths: Iterable[Path]) -> list[str]:
    return [
        f"{path}:{number}: {line.strip()[:100]}"
        for path in paths
        for number, line in enumerate(text_of(path).splitlines(), 1)
        if pattern.search(line)
    ]


def test_no_file_names_the_host_of_a_package_registry() -> None:
    assert lines_with(REGISTRY_HOSTS, text_files()) == []


def test_no_file_names_a_path_of_one_machine() -> None:
    assert lines_with(MACHINE_PATHS, text_files()) == []


@pytest.mark.parametrize("what", BANNED_IN_PYTHON)
def test_no_python_file_holds(what: str) -> None:
    assert lines_with(BANNED_IN_PYTHON[what], python_files()) == []


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_pins_every_package_with_hashes_and_names_no_host(name: str) -> None:
    lock = text_of(Path("requirements") / f"{name}.txt")
    assert "://" not in lock
    assert "--index-url" not in lock
    pinned = re.findall(
        r"^([a-z0-9][^=\s]*==\S+)(?: ;[^\\]*)? \\\n    --hash=sha256:[0-9a-f]{64}",
        lock,
        re.MULTILINE,
    )
    unpinned = [
        line
        for line in lock.splitlines()
        if line and not line.startswith((" ", "#")) and "==" not in line
    ]
    starts = [line for line in lock.splitlines() if line and not line.startswith((" ", "#"))]
    assert unpinned == []
    assert pinned
    assert len(pinned) == len(starts)


def test_the_image_installs_no_sandbox_packages() -> None:
    runtime = text_of(Path("requirements/runtime.txt"))
    project = tomllib.loads(text_of(Path("pyproject.toml")))["project"]
    for requirement in project["optional-dependencies"]["sandbox"]:
        name = re.split(r"[<>=]", requirement)[0]
        assert f"\n{name}==" not in runtime, (
            f"{name} is in the sandbox extra and in requirements/runtime.txt"
        )


def test_every_import_of_the_product_is_a_declared_dependency() -> None:
    project = tomllib.loads(text_of(Path("pyproject.toml")))["project"]
    declared = {
        re.split(r"[<>=]", requirement)[0].lower() for requirement in project["dependencies"]
    }
    distribution = {
        "slack_bolt": "slack-bolt",
        "slack_sdk": "slack-sdk",
        "yaml": "pyyaml",
        "ruamel": "ruamel.yaml",
        "prometheus_client": "prometheus-client",
        "urllib3": "kubernetes",
        "pydantic_core": "pydantic",
        "re2": "google-re2",
        "dateutil": "python-dateutil",
    }
    imported = {
        module
        for path in python_files("bot", "jobs", "config")
        if path != OF_AN_EXTRA
        for module in _external_modules(path)
    }
    undeclared = sorted(
        module for module in imported if distribution.get(module, module) not in declared
    )
    assert undeclared == []


def _external_modules(path: Path) -> set[str]:
    names: set[str] = set()
    for node in nodes_of(path):
        if isinstance(node, ast.Import):
            names |= {name.name.partition(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names.add(node.module.partition(".")[0])
    return names - sys.stdlib_module_names - {"bot", "jobs", "config", "sandbox"}


def test_every_command_of_the_project_leads_to_a_function() -> None:
    project = tomllib.loads(text_of(Path("pyproject.toml")))["project"]
    targets = [
        *project["scripts"].values(),
        *project["entry-points"]["pilothouse.commands"].values(),
    ]
    assert targets
    absent = [target for target in targets if not _is_defined(*target.split(":"))]
    assert absent == []


def _is_defined(module: str, function: str) -> bool:
    path = Path(*module.split("."))
    found = next(
        (p for p in (path.with_suffix(".py"), path / "__init__.py") if (TOP / p).is_file()), None
    )
    if found is None:
        return False
    return any(
        (isinstance(node, ast.FunctionDef) and node.name == function)
        or (
            isinstance(node, ast.ImportFrom)
            and any((name.asname or name.name) == function for name in node.names)
        )
        for node in tree_of(found).body
    )


def test_files_copied_by_the_dockerfile_exist_and_are_not_ignored() -> None:
    copied = [
        word
        for line in text_of(Path("Dockerfile")).splitlines()
        if line.startswith("COPY ") and "--from=" not in line
        for word in line.split()[1:-1]
    ]
    assert copied
    missing = [name for name in copied if not (TOP / name).exists()]
    assert missing == []
    let_in = [
        line[1:] for line in text_of(Path(".dockerignore")).splitlines() if line.startswith("!")
    ]
    kept_out = [name for name in copied if not any(Path(name).match(pattern) for pattern in let_in)]
    assert kept_out == []


def test_the_image_runs_unprivileged_from_locked_requirements() -> None:
    dockerfile = text_of(Path("Dockerfile"))
    stages = re.findall(r"^FROM \S+(?: AS (\S+))?", dockerfile, re.MULTILINE)
    taken_from = re.findall(r"--from=(\S+)", dockerfile)
    assert set(taken_from) <= set(stages)
    last = dockerfile[dockerfile.rindex("FROM ") :]
    assert re.search(r"^USER 10001:10001$", last, re.MULTILINE)
    assert "pip install" not in last
    installs = [
        line for line in dockerfile.splitlines() if " -r requirements" in line or "pip sync" in line
    ]
    assert installs
    assert all("--require-hashes" in line for line in installs)


def test_scripts_can_be_run_and_stop_at_the_first_error() -> None:
    scripts = [path for path in tracked_files() if path.suffix == ".sh" or path == Path(".ci/run")]
    assert Path(".ci/run") in scripts
    for path in scripts:
        assert (TOP / path).stat().st_mode & stat.S_IXUSR, f"{path} cannot be run"
        assert "set -euo pipefail" in text_of(path), f"{path} goes on after an error"


def test_ci_runs_what_make_check_runs() -> None:
    makefile = text_of(Path("Makefile"))
    check = makefile[makefile.index("\ncheck:") :].split("\n\n")[0]
    assert "$(MAKE) test" in check
    assert "$(MAKE) check-rest" in check
    ci = text_of(Path(".ci/run"))
    assert re.search(r"^make test$", ci, re.MULTILINE)
    assert re.search(r"^make check-rest$", ci, re.MULTILINE)


def test_the_usage_says_what_each_command_is_for() -> None:
    project = tomllib.loads(text_of(Path("pyproject.toml")))["project"]
    assert set(project["entry-points"]["pilothouse.commands"]) == set(PURPOSES)


def test_no_page_names_a_python_that_no_run_used() -> None:
    recorded = text_of(Path("docs/reference/verification.md"))
    ran = {*re.findall(r"Python (3\.\d+)\.\d+, \d+ cores", recorded), BASE_PYTHON}
    pages = [
        path for path in tracked_files() if path.suffix == ".md" and path.name != "verification.md"
    ]
    named = {version for page in pages for version in re.findall(r"Python (3\.\d+)", text_of(page))}
    assert named <= ran
    project = tomllib.loads(text_of(Path("pyproject.toml")))["project"]
    assert project["requires-python"].removeprefix(">=") in ran
    classified = [one for one in project["classifiers"] if "Python ::" in one]
    assert {one.rpartition(" ")[2] for one in classified} <= {"3", *ran}
