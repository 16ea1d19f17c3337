"""What a process imports when it starts. A client library imports some packages only where they are
installed, so a new tool of the developers can make every process here slower."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

REQUIREMENTS = Path(__file__).resolve().parents[2] / "requirements"
PROCESSES = ("bot.wiring", "jobs.worker", "jobs.watcher")
TRACING = {"opentelemetry", "google"}
"""The Redis client imports them where they are installed; people install them with
`pilothouse[otel]`. Both are names that several packages share."""


def _locked(name: str) -> set[str]:
    text = (REQUIREMENTS / f"{name}.txt").read_text(encoding="utf-8")
    return set(re.findall(r"^([a-z0-9._-]+)==", text, re.MULTILINE))


def test_no_process_imports_what_only_developers_install() -> None:
    loaded = subprocess.run(
        [sys.executable, "-c", f"import sys, {', '.join(PROCESSES)}; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    providers = packages_distributions()
    used = {
        distribution.lower().replace("_", "-")
        for name in loaded
        if "." not in name and name not in TRACING
        for distribution in providers.get(name, ())
    }
    assert "kubernetes" in used  # the names are those of the locks
    tools = _locked("dev") - _locked("sandbox")
    assert sorted(used & tools) == []
