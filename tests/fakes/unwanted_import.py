"""A module that nothing imports: a test that finds it imported has found a job that ran code."""

from __future__ import annotations


def call(*_arguments: object, **_named: object) -> None:
    """Importing is harm enough."""
