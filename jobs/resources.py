"""What the jobs of a worker share.

RQ calls a job by its name with the arguments of its queue entry, and a queue entry holds neither
credentials nor connections. So the worker provides this once, before it forks.
"""

from __future__ import annotations

from dataclasses import dataclass

from bot.operations.context import Context


@dataclass(frozen=True)
class JobResources:
    """``redis_url`` is where the leases are. ``context`` is what the product's jobs work with."""

    redis_url: str
    context: Context | None = None


_provided: JobResources | None = None


def provide(resources: JobResources) -> None:
    global _provided
    _provided = resources


def redis_url() -> str:
    return _resources().redis_url


def job_context() -> Context:
    """Made by the worker; a job's process opens its own connections."""
    context = _resources().context
    if context is None:
        raise RuntimeError("jobs.resources has no context: pass one to provide() before the fork")
    return context


def _resources() -> JobResources:
    if _provided is None:
        raise RuntimeError("jobs.resources is empty: call provide() before the first job")
    return _provided
