"""Deployments that are only watched: all of some namespaces, without an entry of their own."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import Field, Strict, model_validator

from config.entry_types import Channel, Entry, Label, LabelKey, Matching

Namespaces = Annotated[
    str,
    Matching(
        re.compile(r"[a-z0-9*]([-a-z0-9*]{0,61}[a-z0-9*])?"),
        "a namespace, or a pattern of several such as shop-*",
    ),
]


class WatchEntry(Entry):
    """Deployments without an entry in `apps` that are watched all the same: channels hear who rolls
    them, and nothing is ever written to them."""

    namespaces: Annotated[tuple[Namespaces, ...], Strict(False), Field(max_length=64)] = ()
    """Every Deployment in them: names, or patterns such as shop-*. Default: none."""
    clusters: Annotated[tuple[Label, ...], Strict(False)] = ()
    """The clusters in which they are watched. Default: all of them."""
    channel: Channel | None = None
    """ID of the channel that hears of them."""
    channel_label: LabelKey | None = None
    """A label of a Deployment that names its channel by ID instead."""

    @model_validator(mode="after")
    def _is_heard(self) -> WatchEntry:
        if self.namespaces and not (self.channel or self.channel_label):
            raise ValueError("nobody would hear of it: set `channel`, `channel_label` or both")
        return self
