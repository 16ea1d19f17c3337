"""`pilothouse check FILE`: is this catalog right? Every mistake with its line; exit status 0, 1
(mistakes) or 2 (usage). What is allowed and hardly meant is a warning."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from config.catalog import CatalogMistakes, load_catalog
from config.doubts import find_doubts


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="pilothouse check",
        description="Check a catalog and report every mistake at once, with its line.",
    )
    parser.add_argument(
        "file", type=Path, metavar="FILE", help="the catalog, or the chart's values with one (YAML)"
    )
    chosen = parser.parse_args(arguments)
    try:
        catalog = load_catalog(chosen.file, or_values=True)
    except CatalogMistakes as error:
        for mistake in error.mistakes:
            print(
                f"{chosen.file}:{mistake.line}:"
                f" {mistake.place + ': ' if mistake.place else ''}{mistake.message}",
                file=sys.stderr,
            )
        count = len(error.mistakes)
        print(f"{count} mistake{'s' if count > 1 else ''} in {chosen.file}", file=sys.stderr)
        return 1
    for doubt in find_doubts(catalog):
        place = f"{doubt.place}: {doubt.message}"
        print(f"{chosen.file}:{doubt.line}: warning: {place}", file=sys.stderr)
    apps, clusters = len(catalog.apps), len(catalog.clusters)
    print(
        f"{chosen.file}: {apps} app{'s' if apps != 1 else ''} on {clusters}"
        f" cluster{'s' if clusters != 1 else ''}, no mistakes"
    )
    return 0
