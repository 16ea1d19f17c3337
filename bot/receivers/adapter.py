"""The Receivers port: each format by its module."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from bot.ports import Happened, Receiver, ReceiverAway
from bot.receivers import cdevents, github, gitlab

FORMATS: Mapping[str, Callable[[Receiver, str, Happened, int], bool]] = {
    "cdevents": cdevents.send,
    "github": github.send,
    "gitlab": gitlab.send,
}


class HttpReceivers:
    """See bot.ports.Receivers."""

    def send(self, receiver: Receiver, happened: Happened, part: int) -> bool:
        return FORMATS[receiver.format](receiver, _secret(receiver), happened, part)


def _secret(receiver: Receiver) -> str:
    """Read anew each time: it may have been exchanged."""
    if not receiver.secret_file:
        return ""
    try:
        return Path(receiver.secret_file).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ReceiverAway(f"its secret cannot be read: {type(error).__name__}") from None
