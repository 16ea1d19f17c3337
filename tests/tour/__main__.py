"""`make tour` (STORY=lab for the long one): prints the channel as it changes, exits non-zero when
anything differs."""

from __future__ import annotations

import importlib
import pkgutil
import sys
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from types import ModuleType

import tests.tour
from tests.tour.conversation import TourFailed, running_sandbox


def sandbox_of(story: ModuleType) -> AbstractContextManager[Sequence[str]]:
    """A story may set the arguments of its sandbox: ``sandbox()`` is a context manager that yields
    them."""
    made: AbstractContextManager[Sequence[str]] = (
        story.sandbox() if hasattr(story, "sandbox") else nullcontext(())
    )
    return made


def main(argv: list[str]) -> int:
    stories = sorted(
        m.name
        for m in pkgutil.iter_modules(tests.tour.__path__)
        if m.name not in ("__main__", "conversation")
    )
    wanted = argv or ["first_release"]
    unknown = [name for name in wanted if name not in stories]
    if unknown:
        print(f"no story `{unknown[0]}`; there are {', '.join(stories)}", file=sys.stderr)
        return 2
    for name in wanted:
        story = importlib.import_module(f"tests.tour.{name}")
        began = time.monotonic()
        try:
            with sandbox_of(story) as arguments, running_sandbox(*arguments) as tour:
                story.tell(tour)
        except TourFailed as failure:
            print(f"\nThe story {name} went wrong. {failure}", file=sys.stderr)
            return 1
        print(
            f"The story {name} is told: {tour.checks} things seen in"
            f" {time.monotonic() - began:.1f} s."
        )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
