"""The problems found in blocks, worded as in Slack, and the checks that all blocks share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any


class Findings:
    def __init__(self) -> None:
        self.problems: list[str] = []

    def __bool__(self) -> bool:
        return bool(self.problems)

    def add(self, problem: str, pointer: str) -> None:
        self.problems.append(f"{problem} [json-pointer:{pointer}]")

    def extend(self, other: Findings) -> None:
        self.problems.extend(other.problems)

    @property
    def messages(self) -> list[str]:
        """As in Slack's `response_metadata.messages`."""
        return [f"[ERROR] {problem}" for problem in self.problems]

    def is_object(self, value: Any, at: str) -> bool:
        if isinstance(value, dict):
            return True
        self.add("must be an object", at)
        return False

    def is_list(self, value: Any, at: str, *, most: int | None = None, least: int = 0) -> bool:
        if not isinstance(value, list):
            self.add("must provide an array" if value is not None else "missing required field", at)
            return False
        if most is not None and len(value) > most:
            self.add(f"no more than {most} items allowed [{len(value)} given]", at)
        if len(value) < least:
            self.add(f"no fewer than {least} items allowed", at)
        return True

    def only(
        self, value: dict[str, Any], at: str, allowed: Iterable[str], *, typed: bool = True
    ) -> None:
        known = {*allowed, "type", "block_id"} if typed else set(allowed)
        for key in value:
            if key not in known:
                self.add(f"invalid additional property: {key}", at)

    def string(
        self,
        value: dict[str, Any],
        key: str,
        at: str,
        most: int,
        *,
        required: bool = False,
        least: int = 0,
    ) -> None:
        if key not in value or value[key] is None:
            if required:
                self.add(f"missing required field: {key}", at)
            return
        text = value[key]
        if not isinstance(text, str):
            self.add("must provide a string", f"{at}/{key}")
        elif len(text) > most:
            self.add(f"must be less than {most + 1} characters", f"{at}/{key}")
        elif len(text) < least:
            self.add(f"must be more than {least - 1} characters", f"{at}/{key}")

    def one_of(
        self,
        value: dict[str, Any],
        key: str,
        at: str,
        allowed: Sequence[str],
        *,
        required: bool = False,
    ) -> None:
        if key not in value:
            if required:
                self.add(f"missing required field: {key}", at)
        elif value[key] not in allowed:
            self.add(f"must be one of {', '.join(allowed)}", f"{at}/{key}")

    def text(
        self,
        value: dict[str, Any],
        key: str,
        at: str,
        most: int,
        *,
        kinds: Sequence[str] = ("plain_text", "mrkdwn"),
        required: bool = False,
    ) -> None:
        if key in value:
            self.text_object(value[key], f"{at}/{key}", most, kinds=kinds)
        elif required:
            self.add(f"missing required field: {key}", at)

    def text_object(
        self, text: Any, at: str, most: int, *, kinds: Sequence[str] = ("plain_text", "mrkdwn")
    ) -> None:
        if not self.is_object(text, at):
            return
        if text.get("type") not in kinds:
            self.add(f"unsupported type: {text.get('type')}", f"{at}/type")
            return
        allowed = {"text", "emoji"} if text["type"] == "plain_text" else {"text", "verbatim"}
        self.only(text, at, {*allowed, "type"}, typed=False)
        self.string(text, "text", at, most, required=True, least=1)
