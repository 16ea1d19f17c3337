"""Which files the repository tracks, and the Python ones as syntax trees."""

from __future__ import annotations

import ast
import subprocess
from functools import cache
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
OF_AN_EXTRA = Path("bot/otel.py")
"""Imported only where traces are wanted, and the extra `otel` is installed."""
PRODUCT = ("bot", "jobs", "config")
BINARY = {".png", ".woff2", ".ico", ".gz"}


@cache
def tracked_files() -> tuple[Path, ...]:
    """Relative to the top. Includes what is new and not ignored, so that a rule is heard before the
    commit."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=TOP, check=True, capture_output=True, text=True, timeout=30,
    ).stdout  # fmt: skip
    paths = (Path(name) for name in listed.split("\0") if name)
    return tuple(sorted(path for path in paths if (TOP / path).is_file()))


@cache
def text_of(path: Path) -> str:
    return (TOP / path).read_text(encoding="utf-8")


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(text_of(path), str(path))


@cache
def nodes_of(path: Path) -> tuple[ast.AST, ...]:
    """Every node of the tree: a dozen tests ask for those of every file."""
    return tuple(ast.walk(tree_of(path)))


def python_files(*folders: str) -> tuple[Path, ...]:
    """Of the folders, or all of them."""
    return tuple(
        path
        for path in tracked_files()
        if path.suffix == ".py"
        and (not folders or any(path.is_relative_to(folder) for folder in folders))
    )


def text_files() -> tuple[Path, ...]:
    return tuple(path for path in tracked_files() if path.suffix not in BINARY)


def functions(tree: ast.Module) -> tuple[ast.FunctionDef | ast.AsyncFunctionDef, ...]:
    return tuple(
        node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )


def body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of the body without its docstring."""
    body = function.body
    if ast.get_docstring(function) is not None:
        body = body[1:]
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0
