"""The catalog's links, filled in for a release: commit, difference, registry, dashboard."""

from __future__ import annotations

from bot.releases.facts.release import Release
from bot.slack.blocks.elements import Block, context
from bot.slack.markup import link
from config.link_templates import filled


def links_block(release: Release, before: str, after: str) -> list[Block]:
    """One line of links; none where the catalog has none, or none of them can be filled in."""
    target = release.target
    values = {
        "app": target.app,
        "cluster": target.cluster,
        "namespace": target.namespace,
        "deployment": target.deployment,
        "from": before,
        "to": after,
        "version": after,
        "release": release.id,
    }
    named = ((name, filled(template, values)) for name, template in release.rules.links)
    links = [link(address, name) for name, address in named if address]
    return [context("🔗 " + " · ".join(links))] if links else []
