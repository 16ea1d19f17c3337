"""What `make` says on a machine where the environment cannot be made, and when it does nothing."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from tests.architecture.sources import TOP

TOOLS = ("bash", "cat", "cksum", "dirname", "env", "rm", "tail")


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A checkout and a PATH with the bare tools and no Python; the test adds what it wants as
    machine/bin/python3."""
    (tmp_path / "bin").mkdir()
    for tool in TOOLS:
        (tmp_path / "bin" / tool).symlink_to(shutil.which(tool) or tool)
    shutil.copytree(TOP / "requirements", tmp_path / "requirements")
    shutil.copy(TOP / "pyproject.toml", tmp_path)
    return tmp_path


def add_python(machine: Path, *, version: tuple[int, int], has_venv: bool) -> None:
    stub = machine / "bin" / "python3"
    stub.write_text(
        "#!/usr/bin/env bash\n"
        f'case "$*" in --version) echo "Python {version[0]}.{version[1]}.2";;\n'
        f"*version_info*) exit {int(version < (3, 11))};;\n"
        f'*"import venv"*) exit {int(not has_venv)};;\n'
        "*) exit 99;; esac\n"
    )
    stub.chmod(0o755)


def install(machine: Path, wanted: str = "sandbox") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [machine / "requirements" / "install.sh", wanted],
        check=False, capture_output=True, text=True, env={"PATH": str(machine / "bin")}, timeout=30,
    )  # fmt: skip


def test_an_old_python_is_reported_with_the_required_version(machine: Path) -> None:
    add_python(machine, version=(3, 9), has_venv=True)
    done = install(machine)
    assert done.returncode != 0
    (line,) = done.stderr.splitlines()
    assert "needs Python 3.11 or newer" in line
    assert "Python 3.9.2" in line


def test_install_without_python_names_what_is_missing(machine: Path) -> None:
    done = install(machine)
    assert done.returncode != 0
    (line,) = done.stderr.splitlines()
    assert "the python3 here is missing" in line


def test_a_missing_venv_module_is_named_with_its_debian_package(machine: Path) -> None:
    add_python(machine, version=(3, 12), has_venv=False)
    done = install(machine)
    assert done.returncode != 0
    (line,) = done.stderr.splitlines()
    assert "apt install python3-venv" in line
    assert not (machine / ".venv").exists()


def test_an_install_is_not_repeated_and_dev_satisfies_the_sandbox(
    machine: Path,
) -> None:
    (machine / ".venv" / "bin").mkdir(parents=True)
    python = machine / ".venv" / "bin" / "python"
    python.write_text("#!/usr/bin/env bash\necho must not be run >&2\nexit 1\n")
    python.chmod(0o755)
    files = (
        "requirements/uv.txt",
        "requirements/dev.txt",
        "pyproject.toml",
        "requirements/install.sh",
    )
    content = b"".join((machine / name).read_bytes() for name in files)
    checksum = subprocess.run(
        ["cksum"], input=content, check=True, capture_output=True, env=dict(os.environ)
    ).stdout
    (machine / ".venv" / ".installed-dev").write_bytes(checksum)
    for wanted in ("sandbox", "dev"):
        done = install(machine, wanted)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    (machine / "requirements" / "dev.txt").write_text("changed")
    assert install(machine, "dev").returncode != 0


def test_ctrl_c_stops_the_install_without_a_traceback(machine: Path) -> None:
    add_python(machine, version=(3, 12), has_venv=True)
    python = machine / "bin" / "python3"
    stub = python.read_text().replace("*) exit 99", "*) echo started; exec tail -f /dev/null")
    python.write_text(stub)
    process = subprocess.Popen(
        [machine / "requirements" / "install.sh", "sandbox"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={"PATH": str(machine / "bin")},
        start_new_session=True,
        # A shell keeps ignoring what was ignored when it started.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert process.stdout is not None
    assert "Making .venv" in process.stdout.readline()
    assert process.stdout.readline() == "started\n"
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert errors == "\nInterrupted. Run make again to continue.\n"
