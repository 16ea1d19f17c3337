"""Child processes that never outlive us: each in its own process group, and a guardian that ends
them even if we are killed."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sandbox.guardian import Guardian

END_WITHIN_S = 5.0


@dataclass
class Component:
    """One running process and where it logs."""

    name: str
    command: list[str | Path]
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def has_ended(self) -> bool:
        return self.process.poll() is not None

    def last_lines(self, count: int = 5) -> str:
        lines = (
            self.log.read_text(errors="replace").strip().splitlines() if self.log.exists() else []
        )
        return "\n".join(line[:400] for line in lines[-count:])


class ProcessGroup:
    """Starts components and ends them in reverse order. If we are killed, the guardian runs `last`
    and removes `remove_folder`."""

    def __init__(
        self,
        *,
        remove_folder: Path | None,
        last: Sequence[str] = (),
        end_within_s: float = END_WITHIN_S,
    ) -> None:
        self._end_within_s = end_within_s
        self.components: list[Component] = []
        self._guardian = Guardian(remove_folder=remove_folder, last=last)

    def start(self, name: str, command: list[str | Path], folder: Path) -> Component:
        component = Component(
            name,
            command,
            self._spawn(command, folder / f"{name}.log", "wb"),
            folder / f"{name}.log",
        )
        self.components.append(component)
        return component

    def restart(self, name: str) -> None:
        """Simulates a crash: kills the process and starts it again with the same arguments."""
        component = self.kill(name)
        component.process = self._spawn(component.command, component.log, "ab")

    def kill(self, name: str) -> Component:
        """Kills the process group of a component and returns once its leader has ended."""
        component = next(one for one in self.components if one.name == name)
        _signal(component.process, signal.SIGKILL)
        component.process.wait()
        return component

    def _spawn(
        self, command: list[str | Path], log: Path, mode: Literal["wb", "ab"]
    ) -> subprocess.Popen[bytes]:
        with log.open(mode) as output:
            process = subprocess.Popen(
                command,
                cwd=log.parent,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self._guardian.watch(process.pid)
        return process

    def ended(self) -> Component | None:
        """The first component that is no longer running, if any."""
        return next((component for component in self.components if component.has_ended), None)

    def stop(self) -> None:
        """Ends dependants first, and kills every process that does not end in time."""
        for component in reversed(self.components):
            _signal(component.process, signal.SIGTERM)
        for component in reversed(self.components):
            try:
                component.process.wait(self._end_within_s)
            except subprocess.TimeoutExpired:
                _signal(component.process, signal.SIGKILL)
                component.process.wait()
        self.components.clear()
        self._guardian.dismiss()


def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    if process.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
