"""`pytest --forks`: nothing that a test says gets lost on its way to the first process."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
TOP = Path(__file__).resolve().parents[2]
FIRST_FILE = """
import pytest, warnings

@pytest.fixture(scope="session", autouse=True)
def badly_ending():
    yield
    raise RuntimeError("a bad end")

@pytest.mark.parametrize("number", range(4))
def test_passes(number, tmp_path):
    assert tmp_path.exists()

def test_fails():
    print("printed by the test")
    warnings.warn("a warning of the test")
    assert not "this claim"

def test_is_skipped():
    pytest.skip("for this reason")
"""
SECOND_FILE = """
import os

def test_comes_first():
    pass

def test_ends_its_process():
    os._exit(3)

def test_comes_too_late():
    pass
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("tests")
    (folder / "test_first.py").write_text(FIRST_FILE, encoding="utf-8")
    (folder / "test_second.py").write_text(SECOND_FILE, encoding="utf-8")
    (folder / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    words = ["-m", "pytest", "--forks", "2", "-p", "tests.forks", "-p", "no:cacheprovider", "-ra"]
    done = subprocess.run(
        [sys.executable, *words, str(folder), "--rootdir", str(folder)],
        env={**os.environ, "COLUMNS": "200"},
        cwd=TOP,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == pytest.ExitCode.TESTS_FAILED, done.stdout + done.stderr
    return done.stdout


def test_every_outcome_is_counted(run: str) -> None:
    assert "3 failed, 5 passed, 1 skipped, 1 warning, 1 error" in run


def test_a_failure_comes_with_what_the_test_printed(run: str) -> None:
    for words in ('assert not "this claim"', "printed by the test", "a warning of the test"):
        assert words in run


def test_a_process_that_ends_fails_its_tests(run: str) -> None:
    assert re.search(r"FAILED \S+::test_ends_its_process - the process ended", run)
    assert re.search(r"FAILED \S+::test_comes_too_late - not run: the process ended", run)


def test_the_end_of_a_session_fixture_is_an_error_of_the_last_test(run: str) -> None:
    assert re.search(r"ERROR \S+::test_is_skipped - RuntimeError: a bad end", run)
