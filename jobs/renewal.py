"""A changed configuration becomes other roles of a supervisor's children."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bot.configuration import LiveConfiguration
from config.catalog import CatalogSettings
from config.settings import Settings
from jobs.supervisor import Board, Renew, WorkerRole

MakeRoles = Callable[[Settings, CatalogSettings], Sequence[WorkerRole]]


def renewal(live: LiveConfiguration, board: Board, make_roles: MakeRoles) -> Renew:
    """For the supervisor; the board shows whether what the files hold is in force."""

    def renew() -> Sequence[WorkerRole] | None:
        made: list[Sequence[WorkerRole]] = []
        live.renew(lambda settings, catalog: made.append(make_roles(settings, catalog)))
        board.note_configuration(loaded_at=live.loaded_at, is_refused=bool(live.refusal))
        return made[0] if made else None

    board.note_configuration(loaded_at=live.loaded_at, is_refused=False)
    return renew
