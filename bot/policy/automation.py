"""May machines still release an app? Not once one of its versions failed, until a person clears
that. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

LOCKS_KEPT = 20


@dataclass(frozen=True)
class AutomationLock:
    """A version failed: whoever comes by the API starts nothing of its app meanwhile."""

    version: str
    release_id: str
    why: str
    at: int

    @property
    def line(self) -> str:
        """ "2.0.0 failed in hello-42: 3 pods crashed"."""
        return f"{self.version} failed in {self.release_id}: {self.why}"


def refusal_of_locks(locks: Sequence[AutomationLock], label: str) -> str:
    """ "" where machines may release the app."""
    if not locks:
        return ""
    return f"Machines may not release {label}: {locks[-1].line.removesuffix('.')}."


def with_lock(locks: Sequence[AutomationLock], lock: AutomationLock) -> tuple[AutomationLock, ...]:
    """The newest last; a version has one lock."""
    others = tuple(one for one in locks if one.version != lock.version)
    return (*others, lock)[-LOCKS_KEPT:]


def without_version(locks: Collection[AutomationLock], version: str) -> tuple[AutomationLock, ...]:
    """``version`` "": all are cleared."""
    return tuple(one for one in locks if version and one.version != version)
