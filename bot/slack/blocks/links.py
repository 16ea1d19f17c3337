"""The catalog's links, filled in for a release: commit, difference, registry, dashboard."""

from __future__ import annotations

from bot.releases.facts.causes import Judgement
from bot.releases.facts.release import Release
from bot.slack.blocks.elements import Block, context
from bot.slack.markup import link
from config.link_templates import filled

LONGEST_ADDRESS = 2_000


def query_link(judgement: Judgement) -> str:
    """To what a verdict rests on; "" where it rests on no metrics."""
    fits = judgement.link and len(judgement.link) <= LONGEST_ADDRESS
    return link(judgement.link, "query in Prometheus") if fits else ""


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
