"""`pilothouse init`: writes a catalog, Slack's app manifest and the chart's values for what runs in
a cluster, and says what it found, what it left out, and what to do next.

It only reads the cluster. Exit status 0, 1 (the cluster) or 2 (what was given).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TextIO

import yaml

from bot.commands.installed import read_names
from bot.ports import ClusterUnreachable, Refused
from bot.setup.answers import Answers, Mistaken
from bot.setup.gather import installation_of, people_of, source_of
from bot.setup.report import CATALOG, MANIFEST, VALUES, left_out_lines, report
from bot.setup.select_apps import NoSuchContainer
from bot.setup.texts import catalog_text, values_text
from bot.slack.manifest import make_manifest
from config.catalog import CatalogMistakes, parse_catalog


class NothingFound(Exception):
    """The cluster has nothing that a catalog could name; the message may have several lines."""


def main(argv: Sequence[str] | None = None, source: TextIO | None = None) -> int:
    """``source``: where answers come from, stdin by default."""
    options = _parser().parse_args(argv)
    try:
        return _init(options, Answers(source or sys.stdin, sys.stderr))
    except (Mistaken, NoSuchContainer, ValueError) as wrong:
        print(f"pilothouse init: {wrong}", file=sys.stderr)
        return 2
    except (ClusterUnreachable, Refused, NothingFound) as wrong:
        print(f"pilothouse init: {wrong}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="pilothouse init",
        description="Write a catalog, Slack's app manifest and values of the chart for what runs in"
        " a cluster. What no flag says is asked, in a terminal or as lines on stdin.",
    )
    add = parser.add_argument
    where = "a Slack ID: a member U… or a group S…; may be repeated"
    add("--directory", type=Path, default=Path(), metavar="DIR", help="where to write; default: .")
    add("--force", action="store_true", help="overwrite files that are there")
    add("--kubeconfig", metavar="FILE", help="the cluster to read; none is ever searched for")
    add("--context", help="the context in it; may be left out where there is one")
    add("--namespace", action="append", default=[], help="only this namespace; may be repeated")
    add(
        "--app",
        action="append",
        default=[],
        metavar="NAMESPACE/DEPLOYMENT",
        help="only this Deployment; may be repeated; without a kubeconfig it is taken unseen",
    )
    add(
        "--container",
        action="append",
        default=[],
        metavar="NAMESPACE/DEPLOYMENT=NAME",
        help="the container to release, of a Deployment that has several",
    )
    add("--cluster", metavar="NAME", help="its name in the catalog; default: the context's")
    add("--channel", help="ID of the channel for cards and commands (C…)")
    add("--deployer", action="append", default=[], metavar="ID", help=f"who may deploy: {where}")
    add("--approver", action="append", default=[], metavar="ID", help="default: the admins")
    add("--admin", action="append", default=[], metavar="ID", help="default: the deployers")
    add("--image", metavar="REPOSITORY", help="where your registry has the image of Pilothouse")
    add("--url", help="address at which Slack reaches the bot; else Socket Mode")
    add("--socket-mode", action="store_true", help="the bot connects to Slack: no address")
    add("--commands", default="default", help="as for `pilothouse manifest`")
    add("--prefix", default="", help="as for `pilothouse manifest`")
    return parser


def _init(options: argparse.Namespace, answers: Answers) -> int:
    _require_free(options.directory, force=options.force)
    names = read_names(options.commands, options.prefix)
    source = source_of(options, answers)
    if not source.selection.apps:
        nothing = "no Deployment was found that a release could be about"
        raise NothingFound("\n".join([nothing, *left_out_lines(source)]))
    people, installation = people_of(options, answers), installation_of(options, answers)
    manifest = make_manifest(
        names.installed,
        prefix=names.prefix,
        url=installation.url,
        socket_mode=not installation.url,
    )
    texts = {
        CATALOG: catalog_text(source.way, source.selection, people),
        MANIFEST: yaml.safe_dump(manifest, sort_keys=False, allow_unicode=True, width=120),
        VALUES: values_text(source.way, source.selection, people, installation),
    }
    _prove(texts)
    _write(options.directory, texts, force=options.force)
    print("\n".join(report(options.directory, source, people, installation)))
    return 0


def _require_free(directory: Path, *, force: bool) -> None:
    if directory.exists() and not directory.is_dir():
        raise Mistaken(f"{directory} is not a directory")
    there = [name for name in (CATALOG, MANIFEST, VALUES) if (directory / name).exists()]
    if there and not force:
        raise Mistaken(
            f"{', '.join(there)} in {directory.resolve()}: nothing is overwritten without --force;"
            " or give another --directory"
        )


def _prove(texts: Mapping[str, str]) -> None:
    """That `pilothouse check` accepts both catalogs."""
    values = yaml.safe_load(texts[VALUES])
    for text in (texts[CATALOG], yaml.safe_dump(values["catalog"])):
        try:
            parse_catalog(text)
        except CatalogMistakes as wrong:
            raise Mistaken(f"the catalog would have a mistake: {wrong.mistakes[0]}") from wrong


def _write(directory: Path, texts: Mapping[str, str], *, force: bool) -> None:
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            with (directory / name).open("w" if force else "x", encoding="utf-8") as file:
                file.write(text)
    except OSError as error:
        raise Mistaken(f"{error.filename} cannot be written: {error.strerror}") from error
