"""`python -m sandbox.images build`: the image of Pilothouse, and what its chart runs beside it."""

from __future__ import annotations

import argparse
import os
import sys

from sandbox.images.build import Images, ImagesMissing


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m sandbox.images", description=__doc__)
    parser.add_argument("command", choices=["build"])
    parser.add_argument(
        "--or-skip",
        action="store_true",
        help="where they cannot be built, say so and succeed (but never with CI=true)",
    )
    arguments = parser.parse_args()
    try:
        print(f"Built: {Images().build()}")
    except ImagesMissing as missing:
        if not arguments.or_skip or os.environ.get("CI") == "true":
            print(missing, file=sys.stderr)
            return 1
        print(f"SKIPPED: the images cannot be built here. {missing}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
