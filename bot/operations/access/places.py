"""Where does a command act? Its place decides whose roles count."""

from __future__ import annotations

from bot.commands.model import (
    AppsCommand,
    Command,
    DeployCommand,
    ExplainCommand,
    FreezeCommand,
    HelpCommand,
    RolloutCommand,
    UnfreezeCommand,
    WhoamiCommand,
)
from bot.operations.context import Catalog
from bot.policy.permissions import ANYWHERE, WORKSPACE, Place


def place_of_command(catalog: Catalog, command: Command) -> Place:
    """The form of `/deploy` opens for everyone who may release anything: what it asks for is judged
    when it is submitted."""
    match command:
        case DeployCommand(version=None):
            return ANYWHERE
        case FreezeCommand(scope=scope) | UnfreezeCommand(scope=scope):
            return catalog.place_of_freeze(scope)
        case ExplainCommand() | AppsCommand() | WhoamiCommand() | HelpCommand():
            return WORKSPACE
        case (
            DeployCommand(app=str(app), clusters=(_, *_) as several)
            | RolloutCommand(app=str(app), clusters=(_, *_) as several)
        ):
            return Place(app, tuple(several))
        case _:
            return catalog.place(command.app, command.cluster) if command.app else WORKSPACE
