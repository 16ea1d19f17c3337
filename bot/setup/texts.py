"""The catalog and the chart's values as text, with comments that explain them. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from textwrap import indent
from urllib.parse import urlsplit

from bot.setup.select_apps import Choice, LeftOut, Selection
from config.nearest import listed

_PLAIN = re.compile(r"(?:\./|/)?[A-Za-z][-A-Za-z0-9._/]*")
# Words that YAML 1.1, which helm reads, or YAML 1.2 takes for something other than text.
_TAKEN = frozenset({"y", "yes", "n", "no", "on", "off", "true", "false", "null"})
_WIDTH = 44
SLACK_SECRET = "pilothouse-slack"


@dataclass(frozen=True)
class Way:
    """How Pilothouse reaches the cluster: a kubeconfig and its context, or the service account of
    its own pod where ``kubeconfig`` is ""."""

    cluster: str
    kubeconfig: str = ""
    context: str = ""


@dataclass(frozen=True)
class People:
    """Slack ids; members and groups together. Empty where nobody was named."""

    channel: str = ""
    deployers: tuple[str, ...] = ()
    approvers: tuple[str, ...] = ()
    admins: tuple[str, ...] = ()

    @property
    def needs_second_person(self) -> bool:
        """Whether the only person who may approve is the only one who may start."""
        alone = {*self.approvers, *self.admins}
        return len(alone) == 1 and alone == {*self.deployers} and not _groups(tuple(alone))


@dataclass(frozen=True)
class Installation:
    """What the chart needs beside the catalog. ``url`` "": Socket Mode."""

    image: str
    url: str = ""
    commands: str = "default"
    prefix: str = ""


_ABOUT_CATALOG = """\
# The catalog of Pilothouse: which apps there are, how they are released, and who may do it.
# `pilothouse init` wrote it once; it is yours to edit. `pilothouse check FILE` names every mistake
# with its line, and docs/reference/catalog.md has every key.
"""
_FOR_OUTSIDE = """\
# For `pilothouse check`, and for a bot and workers that run outside of the cluster: the chart reads
# the catalog in values.yaml.
"""
_FOR_INSIDE = "# The same as in values.yaml, which the chart reads.\n"
_ABOUT_VALUES = f"""\
# Values of the chart helm/pilothouse, whose README explains every key. `pilothouse init` wrote them
# once; they are yours to edit. No secret is in here: the Slack tokens are in the Secret
# {SLACK_SECRET}, which you create.
"""
_ABOUT_VALUES_CATALOG = """\
# Which apps there are, and who may release them. `pilothouse check` checks it here, too. The
# workers get rights in the namespaces of its apps.
"""


def catalog_text(way: Way, selection: Selection, people: People) -> str:
    where = _FOR_OUTSIDE if way.kubeconfig else _FOR_INSIDE
    return f"{_ABOUT_CATALOG}{where}{_catalog(way, selection, people)}"


def values_text(way: Way, selection: Selection, people: People, installation: Installation) -> str:
    chart = "\n".join(_chart_lines(installation))
    inside = indent(_catalog(Way(way.cluster), selection, people), "  ")
    return f"{_ABOUT_VALUES}{chart}\n{_ABOUT_VALUES_CATALOG}catalog:\n{inside}"


def _chart_lines(installation: Installation) -> Iterator[str]:
    yield f"image: {{repository: {scalar(installation.image)}}}"
    keys = "bot-token and signing-secret" if installation.url else "bot-token and app-token"
    yield "slack:"
    yield _line(f"  existingSecret: {SLACK_SECRET}", f"with the keys {keys}")
    if not installation.url:
        yield _line("  socketMode: true", "the bot connects to Slack: no address is needed")
    if installation.commands != "default":
        yield f"  commands: {scalar(installation.commands)}"
    if installation.prefix:
        yield f"  prefix: {scalar(installation.prefix)}"
    if not installation.url:
        return
    parts = urlsplit(installation.url)
    if parts.netloc == parts.hostname and parts.path in ("", "/"):
        yield "ingress:"
        yield "  enabled: true"
        yield f"  host: {scalar(parts.netloc)}"
        yield _line('  className: ""', "the cluster's default class")
        yield _line('  tlsSecret: ""', "a Secret with the certificate, where the Ingress needs one")
    else:
        yield (
            f"# Slack calls {installation.url}: lead it to the Service `pilothouse`, port 80, at"
            " /slack/events."
        )


def _catalog(way: Way, selection: Selection, people: People) -> str:
    lines = ["clusters:", *_cluster_lines(way), *_default_lines(people), "apps:"]
    for app in selection.apps:
        lines += _app_lines(app)
    for one in selection.left_out:
        lines += _undecided_lines(one)
    return "\n".join([*lines, *_access_lines(people)]) + "\n"


def _cluster_lines(way: Way) -> Iterator[str]:
    if not way.kubeconfig:
        yield _line(
            f"  {scalar(way.cluster)}: {{in_cluster: true}}", "by the service account of the pods"
        )
        return
    yield f"  {scalar(way.cluster)}:"
    yield _line(
        f"    kubeconfig: {scalar(way.kubeconfig)}", "read there; its credentials stay in it"
    )
    yield f"    context: {scalar(way.context)}"


def _default_lines(people: People) -> Iterator[str]:
    yield _line("defaults:", "any key of an app; the app's own key wins")
    if people.channel:
        yield _line(f"  channel: {people.channel}", "where cards and failures go")
    yield _line("  strategy: rolling", "or canary, bluegreen: where /deploy names none")
    if people.needs_second_person:
        yield (
            "  # Promoting a canary and switching to green need an approver who is not the starter,"
            " and there is one person yet."
        )
        yield "  # approvals: {requester_may_approve: true}"


def _app_lines(app: Choice) -> Iterator[str]:
    namespace, deployment = app.place
    yield f"  # {_of_one_line(f'Deployment {app}' + (f', {app.image} now' if app.image else ''))}"
    yield from (f"  # {_of_one_line(remark)}" for remark in app.remarks)
    yield f"  {scalar(app.name)}:"
    yield f"    namespace: {scalar(namespace)}"
    if app.name != deployment:
        yield f"    deployment: {scalar(deployment)}"
    if app.container is not None:
        yield f"    container: {scalar(app.container)}"
    yield _services_line(app)
    if app.is_managed_elsewhere:
        yield _line("    # managed_elsewhere: warn", "releases in spite of the other tool")


def _services_line(app: Choice) -> str:
    match app.services:
        case None:
            return _line(
                f"    service: {scalar(app.place[1])}", "not observed: null where there is none"
            )
        case ():
            return _line("    services: []", "none selects its pods")
        case (one,):
            return f"    service: {scalar(one)}"
        case many:
            return f"    services: [{', '.join(map(scalar, many))}]"


def _undecided_lines(one: LeftOut) -> Iterator[str]:
    app = one.undecided
    if app is None:
        return
    others = listed(one.containers[1:])
    name = _of_one_line(str(app))
    yield f"  # Left out: {name} has several containers. Choose one and uncomment:"
    keys = [f"namespace: {scalar(app.place[0])}", f"container: {scalar(one.containers[0])}"]
    keys.append(_services_line(app).partition("  #")[0].strip())
    yield f"  # {scalar(app.name)}: {{{', '.join(keys)}}}   # or {_of_one_line(others)}"


def _access_lines(people: People) -> Iterator[str]:
    yield _line("access:", "members U…, groups S…: copy an id from a profile in Slack")
    if people.channel:
        yield _line(f"  channels: [{people.channel}]", "where commands are accepted")
    else:
        yield _line("  channels: []", "where commands are accepted; empty: anywhere the bot is")
    yield "  roles:"
    yield "    viewer: {everyone: true}"
    for role, ids, does in (
        ("deployer", people.deployers, "starts, aborts and undoes releases"),
        ("approver", people.approvers, "approves what someone else started"),
        ("admin", people.admins, "may override freezes, too"),
    ):
        nobody = "" if ids else ": nobody yet"
        yield _line(f"    {role}: {_grant(ids)}", f"{does}{nobody}")


def _grant(ids: Sequence[str]) -> str:
    members, groups = [one for one in ids if one not in _groups(ids)], _groups(ids)
    parts = [f"users: [{', '.join(members)}]"] if members else []
    parts += [f"groups: [{', '.join(groups)}]"] if groups else []
    return f"{{{', '.join(parts)}}}"


def _groups(ids: Sequence[str]) -> list[str]:
    return [one for one in ids if one.startswith("S")]


def _line(text: str, comment: str) -> str:
    return f"{text:<{_WIDTH}} # {comment}"


def _of_one_line(text: str) -> str:
    """For a comment: what a cluster named ends with its line."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def scalar(text: str) -> str:
    """A text as YAML 1.1 and 1.2 both read it.

    >>> [scalar(text) for text in ("shop", "no", "1e3", "a: b")]
    ['shop', '"no"', '"1e3"', '"a: b"']
    """
    is_plain = _PLAIN.fullmatch(text) and text.lower() not in _TAKEN
    return text if is_plain else json.dumps(text, ensure_ascii=False)
