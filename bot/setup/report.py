"""What `pilothouse init` says at its end: what it found and left out, and what to do next. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path

from bot.setup.gather import Source
from bot.setup.texts import SLACK_SECRET, Installation, People

CATALOG, MANIFEST, VALUES = "catalog.yaml", "slack-manifest.yaml", "values.yaml"


def report(
    directory: Path, source: Source, people: People, installation: Installation
) -> Iterator[str]:
    yield source.found
    yield ""
    yield "Apps in the catalog:"
    for app in source.selection.apps:
        container = f", container {app.container}" if app.container else ""
        services = "".join(f", Service {name}" for name in app.services or ())
        yield f"  {app.name}: Deployment {app}{container}{services}"
        yield from (f"      {remark}" for remark in app.remarks)
    yield from left_out_lines(source)
    yield ""
    yield f"Written to {directory.resolve()}: {CATALOG}, {MANIFEST}, {VALUES}."
    yield ""
    yield from _next_steps(directory, source, people, installation)


def left_out_lines(source: Source) -> Iterator[str]:
    if source.selection.left_out:
        yield ""
        yield "Left out:"
    for one in source.selection.left_out:
        yield f"  {one.what}: {one.why}"


def _next_steps(
    directory: Path, source: Source, people: People, installation: Installation
) -> Iterator[str]:
    apps = source.selection.apps
    app = next((one for one in apps if not one.is_managed_elsewhere), apps[0])
    catalog, manifest, values = (
        shlex.quote(str(directory / name)) for name in (CATALOG, MANIFEST, VALUES)
    )
    key, token = "app-token", "app token (xapp-…)"
    if installation.url:
        key, token = "signing-secret", "signing secret"
    kubectl, helm = _tool("kubectl", source, "--context"), _tool("helm", source, "--kube-context")
    deploy = f"/{installation.prefix}deploy {app.name} VERSION"
    slack = (
        f"At api.slack.com choose Create New App, From a manifest, and paste {manifest}. Install"
        " the app, and invite it to its channel."
    )
    secret = (
        f"Put the bot token (xoxb-…) and the {token} into files named bot-token and {key}, then:\n"
        f"       {kubectl} create namespace pilothouse\n"
        f"       {kubectl} -n pilothouse create secret generic {SLACK_SECRET}"
        f" --from-file=bot-token --from-file={key}"
    )
    install = (
        f"Push the image to {installation.image} (`make image` builds it), then, in a clone:\n"
        f"       {helm} install pilothouse helm/pilothouse -n pilothouse -f {values}"
    )
    steps = [
        f"Read {catalog} and {values}; `pilothouse check FILE` checks either after you edit it.",
        slack,
        secret,
        install,
        f"In Slack: `{deploy} dry-run` shows the plan, `{deploy}` releases.",
    ]
    if not people.deployers:
        steps.insert(1, "Name who may deploy, under access.roles in both files: nobody may yet.")
    yield "Next:"
    yield from (f"  {number}. {step}" for number, step in enumerate(steps, 1))


def _tool(name: str, source: Source, context: str) -> str:
    if not source.kubeconfig:
        return name
    return shlex.join([name, "--kubeconfig", source.kubeconfig, context, source.way.context])
