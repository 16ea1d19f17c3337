"""Pilothouse beside another distribution that has a package of the same name."""

from __future__ import annotations

import sysconfig
from pathlib import Path

import pytest

from tests.distribution.conftest import UV, Built, attempt, run, write_wheel

pytestmark = pytest.mark.slow

ADVICE = "install it with `uv tool install` or `pipx install`"


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    """An environment that has what Pilothouse needs, and not Pilothouse."""
    folder = tmp_path / "shared"
    run(
        UV,
        "venv",
        "--quiet",
        f"--python={sysconfig.get_config_var('EXENAME') or 'python3'}",
        folder,
    )
    (site,) = folder.glob("lib/python*/site-packages")
    (site / "needed.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    return folder


def install(environment: Path, wheel: Path) -> None:
    python = f"--python={environment}/bin/python"
    run(UV, "pip", "install", "--quiet", "--no-deps", python, wheel)


def pilothouse(environment: Path, *words: str) -> tuple[int, str]:
    done = attempt(environment / "bin" / "pilothouse", *words)
    return done.returncode, done.stderr


@pytest.mark.parametrize("package", ["bot", "config", "jobs"])
def test_a_package_that_another_distribution_overwrote_is_named(
    built: Built, shared: Path, tmp_path: Path, package: str
) -> None:
    other = write_wheel(tmp_path, "chat-helpers", "1.2", {f"{package}/__init__.py": b"VALUE = 1\n"})
    install(shared, built.wheel)
    assert pilothouse(shared, "manifest") == (0, "")
    install(shared, other)
    code, said = pilothouse(shared, "manifest")
    (line,) = said.splitlines()
    assert code == 2
    assert line.startswith(
        f"pilothouse: the package `{package}` here is that of chat-helpers 1.2. Pilothouse is"
    )
    assert ADVICE in line


def test_a_module_inside_that_was_overwritten_is_named(
    built: Built, shared: Path, tmp_path: Path
) -> None:
    other = write_wheel(tmp_path, "settings-kit", "3", {"config/settings.py": b"DEBUG = True\n"})
    install(shared, built.wheel)
    install(shared, other)
    code, said = pilothouse(shared, "check", "catalog.yaml")
    assert (code, said.count("\n")) == (2, 1)
    assert "the package `config` here is that of settings-kit 3" in said


def test_another_distribution_that_harms_nothing_yet_is_a_warning(
    built: Built, shared: Path, tmp_path: Path
) -> None:
    install(shared, write_wheel(tmp_path, "cron", "1", {"jobs/nightly.py": b""}))
    install(shared, built.wheel)
    code, said = pilothouse(shared, "manifest")
    assert code == 0
    assert said.startswith("pilothouse: warning: cron 1 provides the package `jobs` too")


def test_a_folder_that_comes_first_is_named(built: Built, shared: Path, tmp_path: Path) -> None:
    install(shared, built.wheel)
    (tmp_path / "first" / "config").mkdir(parents=True)
    stray = tmp_path / "first" / "config" / "__init__.py"
    stray.write_text("")
    done = attempt(shared / "bin" / "pilothouse", "--version", PYTHONPATH=str(tmp_path / "first"))
    assert done.returncode == 2
    assert f"the package `config` here is that of {stray}." in done.stderr
