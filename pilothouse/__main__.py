"""`pilothouse COMMAND`, and `python -m pilothouse`."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from pilothouse.own_packages import find_clashes


def main(argv: Sequence[str] | None = None) -> int:
    clashes = find_clashes()
    for clash in clashes:
        print(f"pilothouse: {clash}", file=sys.stderr)
    if not all(clash.is_ours for clash in clashes):
        return 2
    from bot.__main__ import main as run  # only now is it known to be Pilothouse's

    return run(argv)


if __name__ == "__main__":
    sys.exit(main())
