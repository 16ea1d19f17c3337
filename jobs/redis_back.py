"""Waits for a Redis that is away, in the process that needs it: one that ends instead is started
again later each time."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from redis import Redis

from bot.ports import StoreUnavailable
from bot.redis_errors import redis_errors

log = logging.getLogger(__name__)

RETRY_S = 0.5


class Absence:
    """Of Redis, as one process meets it: one line in the log when it is away, one when it is
    back."""

    def __init__(self) -> None:
        self._is_away = False

    def wait(self, error: StoreUnavailable) -> None:
        """Before it is asked again."""
        if not self._is_away:
            log.warning("%s; retrying", error)
        self._is_away = True
        time.sleep(RETRY_S)

    def is_over(self) -> None:
        if self._is_away:
            log.warning("Redis is available again")
        self._is_away = False


def wait_for_redis(
    client: Redis, stop: Callable[[], bool] = lambda: False, beat: Callable[[], None] = lambda: None
) -> None:
    """Until Redis replies, or ``stop()``."""
    absence = Absence()
    while not stop():
        beat()
        try:
            with redis_errors():
                client.time()
        except StoreUnavailable as error:
            absence.wait(error)
        else:
            absence.is_over()
            return
