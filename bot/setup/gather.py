"""What `pilothouse init` is given by flags and asks for where they are silent."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bot.cluster import KubernetesCluster
from bot.cluster.inventory import Inventory, read_contexts, read_inventory
from bot.ports import Refused
from bot.releases.facts.counts import counted
from bot.setup.answers import Answers, Mistaken
from bot.setup.select_apps import Place, Selection, Wishes, select_apps, select_unseen
from bot.setup.texts import Installation, People, Way
from bot.slack.manifest import checked_url
from config.entry_types import Channel, GroupId, Label, ObjectName, UserId, valid
from config.nearest import nearest

DEFAULT_IMAGE = "pilothouse"
DEFAULT_CLUSTER = "production"


@dataclass(frozen=True)
class Source:
    """The apps, and where they come from. ``kubeconfig``: as the person named it, "" for none.
    ``found``: how much was read and where, for the report."""

    way: Way
    selection: Selection
    found: str
    kubeconfig: str = ""


def installation_of(options: argparse.Namespace, answers: Answers) -> Installation:
    """Raises Mistaken, ValueError."""
    if options.socket_mode and options.url:
        raise Mistaken("--url and --socket-mode are both given: keep one")
    if options.socket_mode or options.url:
        url = checked_url(options.url) if options.url else ""
    else:
        url = answers.ask(
            "Address at which Slack reaches the bot (empty: Socket Mode, no address)",
            lambda text: checked_url(text) if text else "",
            flag="--url or --socket-mode",
            default="",
        )
    image = options.image or answers.ask(
        "Repository of the Pilothouse image in your registry",
        _image,
        flag="--image",
        default=DEFAULT_IMAGE,
    )
    return Installation(_image(image), url, options.commands, options.prefix)


def source_of(options: argparse.Namespace, answers: Answers) -> Source:
    """Raises Mistaken, ValueError, NoSuchContainer, ClusterUnreachable, Refused."""
    apps = tuple(_place(text) for text in options.app)
    kubeconfig = options.kubeconfig
    if kubeconfig is None and not apps:
        kubeconfig = answers.ask(
            "Kubeconfig of the cluster (empty: none, you name the Deployments)",
            str,
            flag="--kubeconfig FILE, or --app NAMESPACE/DEPLOYMENT",
        )
    if kubeconfig:
        return _observed(options, answers, str(Path(kubeconfig).expanduser()), apps)
    for flag in ("context", "namespace", "container"):
        if getattr(options, flag):
            raise Mistaken(f"--{flag} needs --kubeconfig FILE")
    apps = apps or answers.ask(
        "Deployments, as NAMESPACE/DEPLOYMENT, separated by spaces",
        lambda text: tuple(map(_place, _words(text))),
        flag="--app NAMESPACE/DEPLOYMENT",
    )
    cluster = valid(Label, options.cluster or DEFAULT_CLUSTER)
    return Source(Way(cluster), select_unseen(apps), "No cluster was read: you named the apps.")


def _observed(
    options: argparse.Namespace, answers: Answers, kubeconfig: str, apps: tuple[Place, ...]
) -> Source:
    context = _context(options, answers, kubeconfig)
    cluster = valid(Label, options.cluster or _cluster_name(context))
    containers = dict(map(_container, options.container))
    namespaces = tuple(valid(Label, one) for one in options.namespace)
    wishes = Wishes(namespaces, apps, containers)
    connection = KubernetesCluster(kubeconfig=kubeconfig, context=context).connection
    try:
        found = read_inventory(connection, namespaces or tuple(at for at, _ in apps))
    except Refused as refused:
        everywhere = not namespaces and not apps
        hint = "; name those that it may read with --namespace" if everywhere else ""
        raise Refused(f"{connection.server}: {refused}{hint}") from refused
    _require_all(found, (*apps, *containers))
    spaces = sorted({one.place[0] for one in found.deployments})
    read = f"{counted(len(found.deployments), 'Deployment')} in {counted(len(spaces), 'namespace')}"
    where = f"context {context} of {kubeconfig} ({connection.server})"
    path = _as_named(kubeconfig, options.directory)
    return Source(
        Way(cluster, path, context),
        select_apps(found, wishes),
        f"Read {read} through {where}.",
        kubeconfig,
    )


def _as_named(kubeconfig: str, directory: Path) -> str:
    """As the catalog names it: relative where it lies beside the catalog, else in full."""
    path, folder = Path(kubeconfig).absolute(), directory.absolute()
    return f"./{path.relative_to(folder)}" if path.is_relative_to(folder) else str(path)


def _context(options: argparse.Namespace, answers: Answers, kubeconfig: str) -> str:
    contexts = read_contexts(kubeconfig)

    def known(name: str) -> str:
        if name in contexts.names:
            return name
        close = nearest(name, contexts.names)
        hint = f"did you mean `{close}`?" if close else f"it has {', '.join(contexts.names)}"
        raise ValueError(f"{kubeconfig} has no context `{name}`; {hint}")

    if options.context:
        return known(options.context)
    if not contexts.names:
        raise Mistaken(f"{kubeconfig} has no context")
    if len(contexts.names) == 1:
        return contexts.names[0]
    hint = f"; now {contexts.current}" if contexts.current else ""
    return answers.ask(f"Context ({', '.join(contexts.names)}{hint})", known, flag="--context NAME")


def _require_all(found: Inventory, named: Sequence[Place]) -> None:
    known = ["/".join(one.place) for one in found.deployments]
    for place in map("/".join, named):
        if place not in known:
            close = nearest(place, known)
            hint = f"; did you mean `{close}`?" if close else ""
            raise Mistaken(f"there is no Deployment `{place}`{hint}")


def people_of(options: argparse.Namespace, answers: Answers) -> People:
    """Raises Mistaken, ValueError."""
    channel = options.channel
    if channel is None:
        channel = answers.ask(
            "Channel for cards and commands (its ID, C…; empty: any)",
            _channel,
            flag="--channel",
            default="",
        )
    deployers = _ids(" ".join(options.deployer)) or answers.ask(
        "Who may deploy (member U… or group S… IDs, separated by spaces; empty: nobody yet)",
        _ids,
        flag="--deployer",
        default="",
    )
    admins = _ids(" ".join(options.admin)) or deployers
    approvers = _ids(" ".join(options.approver)) or admins
    return People(_channel(channel), deployers, approvers, admins)


def _channel(text: str) -> str:
    return valid(Channel, text) if text else ""


def _ids(text: str) -> tuple[str, ...]:
    """Raises ValueError."""
    found = (valid(GroupId if one.startswith("S") else UserId, one) for one in _words(text))
    return tuple(dict.fromkeys(found))


def _words(text: str) -> list[str]:
    return text.replace(",", " ").split()


def _place(text: str) -> Place:
    """Raises ValueError."""
    namespace, slash, name = text.partition("/")
    if not slash:
        raise ValueError(f"`{text}` is not NAMESPACE/DEPLOYMENT, such as shop/hello")
    return valid(Label, namespace), valid(ObjectName, name)


def _container(text: str) -> tuple[Place, str]:
    place, equals, name = text.partition("=")
    if not equals:
        raise ValueError(f"`{text}` is not NAMESPACE/DEPLOYMENT=NAME, such as shop/hello=web")
    return _place(place), valid(Label, name)


def _image(text: str) -> str:
    """A repository without a tag, which the chart adds. Raises ValueError."""
    if not re.fullmatch(r"[\w.-]+(:\d+)?(/[\w.-]+)*", text, re.ASCII):
        raise ValueError(f"`{text}` is not an image repository without a tag")
    return text


def _cluster_name(context: str) -> str:
    """A context's name as a catalog takes it, such as ``shop`` of an ARN that ends with it."""
    last = context.rpartition("/")[2].lower()
    return re.sub(r"[^a-z0-9]+", "-", last)[:63].strip("-") or DEFAULT_CLUSTER
