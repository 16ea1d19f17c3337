"""Every port as a simulated process sees it: the call takes time, others run meanwhile, and it may
be lost on the way there or back."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NoReturn

from tests.simulation.fates import Fate, Fates
from tests.simulation.scheduling import Scheduler, Stopped
from tests.simulation.trace import Trace, told

SLOWEST_MS = {"store": 4, "leases": 4, "queue": 4, "cluster": 60, "slack": 150, "directory": 60}
LATE_BY_MS = (200, 12_000)
UNTRACED = frozenset(
    {"now", "server_time", "claim", "is_current", "peek", "outbox", "beat", "seal_audit"}
)
BEFORE = frozenset({Fate.LOST, Fate.LIMITED, Fate.LATE, Fate.KILLED_BEFORE})
FOLLOWS = {fate: f" {fate.value}" for fate in (Fate.REPLY_LOST, Fate.KILLED_AFTER)}


class Outside:
    """What the ports of one world share. ``away`` says why a port does not answer now, "" where it
    does."""

    def __init__(self, scheduler: Scheduler, fates: Fates, trace: Trace) -> None:
        self.scheduler, self.fates, self.trace = scheduler, fates, trace
        self.away: dict[str, int] = {}  # until when, by the port's address

    def is_away(self, address: str) -> bool:
        return self.away.get(address, 0) > self.scheduler.now


class Interposed:
    """``error`` makes what the port raises when nothing is heard of a call. ``returned`` is called
    with each result, before anything can be lost of it."""

    def __init__(
        self,
        outside: Outside,
        port: str,
        behind: Any,
        error: Callable[[str], Exception],
        *,
        address: str = "",
        limited: Callable[[], Exception] | None = None,
        returned: Callable[[str, tuple[Any, ...], Any], None] = lambda *_: None,
    ) -> None:
        self._outside, self._port, self._behind = outside, port, behind
        self._error, self._limited, self._returned = error, limited, returned
        self._address = address or port

    def __getattr__(self, method: str) -> Any:
        found = getattr(self._behind, method)
        if not callable(found):
            return found
        call = self.__dict__[method] = partial(self._call, method, found)  # asked for once
        return call

    def _call(self, method: str, act: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        scheduler, chance = self._outside.scheduler, self._outside.fates.chance
        if scheduler.current is None:
            return act(*args, **kwargs)
        scheduler.pause(chance.randrange(SLOWEST_MS[self._port]))
        is_away = self._outside.is_away(self._address)
        fate = Fate.LOST if is_away else self._outside.fates.draw(self._port, method)
        if fate is Fate.ARRIVES and method in UNTRACED:
            return self._arrive(method, act, args, kwargs)
        what = f"{self._address}.{method}{told((*args, *kwargs.values()))}"
        if fate in BEFORE and method == "why_not_in":
            return ""  # it never raises
        if fate in BEFORE:
            self._fail(fate, what, partial(act, *args, **kwargs), is_away=is_away)
        try:
            result = act(*args, **kwargs)
        except Exception as error:  # reported
            self._say(f"{what} -> {told(error)}")
            raise
        self._returned(method, args, result)
        self._say(f"{what} -> {told(result)}{FOLLOWS.get(fate, '')}")
        self._follow(fate)
        scheduler.pause(chance.randrange(2))
        return result

    def _arrive(
        self, method: str, act: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """What happens too often to be told, and changes nothing that a person would miss."""
        result = act(*args, **kwargs)
        self._returned(method, args, result)
        self._outside.scheduler.pause(self._outside.fates.chance.randrange(2))
        return result

    def _follow(self, fate: Fate) -> None:
        """It was done."""
        if fate is Fate.KILLED_AFTER:
            self._kill()
        if fate is Fate.REPLY_LOST:
            raise self._error("the reply was lost")

    def _fail(self, fate: Fate, what: str, act: Callable[[], Any], *, is_away: bool) -> NoReturn:
        """It is not done, or later."""
        if not is_away:
            self._say(f"{what} {fate.value}")
        if fate is Fate.KILLED_BEFORE:
            self._kill()
        if fate is Fate.LIMITED and self._limited is not None:
            raise self._limited()
        if fate is Fate.LATE:
            self._carry_out_late(what, act)
        raise self._error("away" if is_away else "time-out")

    def _say(self, what: str) -> None:
        scheduler = self._outside.scheduler
        who = scheduler.current.name if scheduler.current else "world"
        self._outside.trace.add(scheduler.now, who, what)

    def _kill(self) -> NoReturn:
        process = self._outside.scheduler.current
        if process is not None:
            self._outside.scheduler.kill(process)
        raise Stopped

    def _carry_out_late(self, what: str, act: Callable[[], Any]) -> None:
        outside = self._outside

        def arrive() -> None:
            try:
                act()
                outside.trace.add(outside.scheduler.now, "network", f"{what} arrives late")
            except Exception as error:  # judged
                text = f"{what} arrives late -> {told(error)}"
                outside.trace.add(outside.scheduler.now, "network", text)

        after = outside.fates.chance.randrange(*LATE_BY_MS)
        outside.scheduler.spawn("network", arrive, after_ms=after)
