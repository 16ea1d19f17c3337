"""What a person is asked where a flag does not say it: in a terminal, or as lines on stdin."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TextIO, TypeVar

Given = TypeVar("Given")


class Mistaken(Exception):
    """What was given cannot be used; the message is one line that says what to give instead."""


@dataclass(frozen=True)
class Answers:
    """Questions go to ``screen``, so that stdout holds the report alone."""

    source: TextIO
    screen: TextIO

    def ask(
        self,
        question: str,
        read: Callable[[str], Given],
        *,
        flag: str,
        default: str | None = None,
    ) -> Given:
        """``read`` raises ValueError for an answer that does not do. A terminal is asked again;
        elsewhere a wrong line, or the end of the lines without a ``default``, raises Mistaken."""
        hint = f" [{default}]" if default else ""
        while True:
            print(f"{question}{hint}: ", end="", file=self.screen, flush=True)
            line = self._line()
            if line is None and (default is None or self.source.isatty()):
                raise Mistaken(f"no answer to “{question}”: give {flag}")
            if not self.source.isatty():
                print((line or "").strip(), file=self.screen)
            try:
                return read((line or "").strip() or default or "")
            except ValueError as wrong:
                if not self.source.isatty():
                    raise Mistaken(f"{flag}: {wrong}") from wrong
                print(f"  {wrong}", file=self.screen)

    def _line(self) -> str | None:
        """None at the end."""
        try:
            return self.source.readline() or None
        except UnicodeDecodeError as wrong:
            raise Mistaken("the answers are not UTF-8 text") from wrong
