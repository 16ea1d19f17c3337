"""Have files changed? A ConfigMap or a Secret in a pod is exchanged whole; an editor writes bit by
bit."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TypeAlias

FileStamp: TypeAlias = tuple[int, int, int] | None


class WatchedFiles:
    """What they hold is compared by what the file system says of them; nothing is read."""

    def __init__(self, paths: Iterable[Path]) -> None:
        self._paths = tuple(paths)
        self._taken = self._last = self._stamp()

    def have_changed(self) -> bool:
        """True once for each change, at the second call that finds the files the same: half a file
        is never read."""
        now = self._stamp()
        is_settled, self._last = now == self._last, now
        if not is_settled or now == self._taken:
            return False
        self._taken = now
        return True

    @property
    def changed_at(self) -> float:
        """When the newest of them was written, in seconds since 1970; 0 where there is none."""
        return max((one[0] for one in self._taken if one is not None), default=0) / 1e9

    def _stamp(self) -> tuple[FileStamp, ...]:
        return tuple(stamp_of(path) for path in self._paths)


def stamp_of(path: Path) -> FileStamp:
    """Changes whenever the file does. None where there is none: between two versions, for
    instance."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino, found.st_size
