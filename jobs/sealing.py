"""Seals the audit, beside the ticker: at most a second after an entry was written."""

from __future__ import annotations

import logging

from bot.ports import ReleaseStore, StoreUnavailable

log = logging.getLogger(__name__)


class Sealer:
    """What cannot be sealed holds up no release: it is logged once, and shown by `pilothouse audit
    verify`."""

    def __init__(self, store: ReleaseStore) -> None:
        self._store = store
        self._trouble = ""

    def __call__(self) -> None:
        try:
            self._store.seal_audit()
        except (StoreUnavailable, ValueError) as error:
            trouble = f"the audit cannot be sealed: {error}"
            if trouble != self._trouble:
                log.warning("%s", trouble)
            self._trouble = trouble
        else:
            self._trouble = ""
