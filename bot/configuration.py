"""Environment and catalog of a process, checked together, and taken up anew when their files
change."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

from bot.commands.installed import read_names
from bot.commands.table import Names
from config.catalog import CatalogMistakes, CatalogSettings, load_catalog
from config.settings import Process, Settings, SettingsMistakes, named_files, read_settings
from config.watched_files import WatchedFiles

RENEW_EVERY_S = 1.0
"""How often the files are asked about. A change is taken up at the second time that finds it."""

log = logging.getLogger(__name__)

Use = Callable[[Settings, CatalogSettings], object]


class Unconfigured(Exception):
    """Environment or catalog cannot be used; the message holds every mistake, one a line."""


def load_configuration(process: Process) -> tuple[Settings, CatalogSettings]:
    """Environment and catalog, all mistakes of both at once. Raises Unconfigured."""
    mistakes: list[str] = []
    try:
        settings = read_settings(os.environ, process)
    except SettingsMistakes as found:
        raise Unconfigured(str(found)) from found
    try:
        names_of(settings)
    except ValueError as wrong:
        mistakes.append(f"PILOTHOUSE_COMMANDS, PILOTHOUSE_PREFIX: {wrong}")
    try:
        if settings.config == Path("-"):
            raise Unconfigured("PILOTHOUSE_CONFIG is not set: set it to the catalog file")
        catalog = load_catalog(settings.config)
    except CatalogMistakes as found:
        mistakes.append(str(found))
    if mistakes:
        raise Unconfigured("\n".join(mistakes))
    return settings, catalog


def names_of(settings: Settings) -> Names:
    """How commands are typed in this workspace. Raises ValueError."""
    return read_names(settings.commands, settings.prefix)


class LiveConfiguration:
    """What a process runs with. ``refusal``: the first mistake of what its files hold by now, ""
    while that is in force. ``loaded_at``: seconds since 1970."""

    def __init__(self, process: Process) -> None:
        """Raises Unconfigured."""
        self._process = process
        # Before they are read: a change in between is then found later.
        self._files = WatchedFiles(named_files(os.environ))
        self.settings, self.catalog = load_configuration(process)
        self.loaded_at = time.time()
        self.refusal = ""

    def renew(self, use: Use) -> None:
        """Once for each change of the files. ``use`` is given what they hold, where that is
        valid and new; what was in force stays in force otherwise."""
        if not self._files.have_changed():
            return
        began = time.monotonic()
        try:
            found = load_configuration(self._process)
        except Unconfigured as mistakes:
            self.refusal = _in_one_line(str(mistakes))
            log.error("the changed configuration is refused, and nothing changes: %s", self.refusal)
            return
        if self.refusal:
            log.info("the configuration is valid again")
        self.refusal = ""
        if found == (self.settings, self.catalog):
            return
        use(*found)
        self.settings, self.catalog = found
        self.loaded_at = time.time()
        log.info(
            "new configuration in force: %d apps, %d clusters; taken up in %d ms, %.1f s after the"
            " files were written",
            len(self.catalog.apps),
            len(self.catalog.clusters),
            round((time.monotonic() - began) * 1000),
            self.loaded_at - self._files.changed_at,
        )


def keep_renewing(live: LiveConfiguration, use: Use) -> None:
    """In the background, until the process ends."""

    def run() -> None:
        while True:
            time.sleep(RENEW_EVERY_S)
            live.renew(use)

    threading.Thread(target=run, name="configuration", daemon=True).start()


def _in_one_line(mistakes: str) -> str:
    first, *others = mistakes.splitlines()
    return f"{first} (and {len(others)} more)" if others else first
