"""Variations of one test: `make test` runs some of them, `make slow` the others too."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest


def quick(values: Iterable[Any], *, at_most: int) -> list[Any]:
    """Every value, for `parametrize`; those after the first ``at_most`` are marked slow."""
    return [
        value if number < at_most else pytest.param(value, marks=pytest.mark.slow)
        for number, value in enumerate(values)
    ]
