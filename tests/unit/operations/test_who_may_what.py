"""Path × act × kind of person: what the published table says is what happens, from the request to
its effect."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from bot.commands.deploy_form import DeployForm
from bot.commands.model import ApplyCommand, PodsCommand
from bot.commands.table import BY_NAME
from bot.operations.context import App, Catalog, Context
from bot.operations.intake.handle_click import handle_click
from bot.operations.intake.handle_command import handle_command
from bot.operations.lifecycle.answer_requests import answer_requests
from bot.operations.lifecycle.check_people import check_people
from bot.operations.lifecycle.prepare_release import refusal_to_start
from bot.operations.queries.keep_query import keep_query
from bot.operations.queries.run_query import run_query
from bot.operations.replies import Refusal, Reply
from bot.operations.requests import Click, Invocation
from bot.policy.permissions import Access, Grant, PersonKind, Role
from bot.releases.facts.people import Person
from bot.releases.facts.release import Phase, Release
from bot.releases.facts.rules import Rules
from bot.releases.facts.target import Strategy
from bot.slack.blocks.buttons import ACTION_PREFIX, buttons_of
from bot.slack.blocks.rendering import SlackRendering
from bot.slack.home_tab import publish_home
from bot.slack.listeners.deploy_form import FormChange, redraw
from tests.blocks.stories import CARDS
from tests.builders import MINUTE, T0, a_query, a_target
from tests.fakes.in_memory_directory import InMemoryDirectory
from tests.fakes.in_memory_store import InMemoryReleaseStore
from tests.fakes.recording_messenger import RecordingMessenger
from tests.unit.slack.conftest import InMemoryClusters, InMemoryManifests

CHANNEL, DIRECT, HOME = "C0RELEASES", "D0PERSON", "T1"
OTHER = Person(HOME, "U0OTHER", "other")
"""Started the releases that others act on."""
DENIED = re.compile(
    r"You need the|needs the \w+ role|someone else must approve|no longer has the|may no longer"
    r"|people of its own workspace|which workspace|not taken in"
)


# --- the published table --------------------------------------------------------------------------


def published() -> tuple[dict[str, frozenset[str]], dict[str, frozenset[str]]]:
    """Roles by command, and by button."""
    page = Path("docs/reference/permissions.md").read_text("utf-8")
    table = page.split("<!-- permissions of roles -->")[1].split("<!-- end of")[0]
    commands: dict[str, frozenset[str]] = {}
    buttons: dict[str, frozenset[str]] = {}
    for row in table.strip().splitlines():
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        if len(cells) != 4 or cells[0] in ("needs", "---"):
            continue
        roles = frozenset(cells[1].split(", "))
        commands |= dict.fromkeys(re.findall(r"`([^`]+)`", cells[2]), roles)
        buttons |= dict.fromkeys(cells[3].lower().split(", ") if cells[3] else (), roles)
    return commands, buttons


COMMANDS, BUTTONS = published()
READS = {name for name, roles in COMMANDS.items() if "viewer" in roles}
FREE = ("help", "whoami")
ROLES = {
    "admin": frozenset({"admin", "viewer"}),
    "approver": frozenset({"approver", "viewer"}),
    "deployer": frozenset({"deployer", "viewer"}),
    "viewer": frozenset({"viewer"}),
}
"""Everyone else has none: a guest, whom the catalog does not name, and a deactivated account, an
unknown id, a person of another workspace and one without a workspace, although it names them."""
KINDS = (*ROLES, "guest", "deactivated", "nonexistent", "of a foreign team", "without a team")


def may(kind: str, act: str, path: str) -> bool:
    if kind in ("of a foreign team", "without a team"):
        return False
    if act in FREE:
        return True
    if path == "direct message" and act not in READS:
        return False
    needed = BUTTONS[act] if path == "button" else COMMANDS[act]
    return not ROLES.get(kind, frozenset()).isdisjoint(needed)


# --- the office -----------------------------------------------------------------------------------


@dataclass
class Office:
    context: Context
    store: InMemoryReleaseStore
    messenger: RecordingMessenger
    person: Person
    starter: Person = OTHER  # of the releases that are acted on
    acted_on: list[str] = field(default_factory=list)


def office(kind: str) -> Office:
    user = f"U0{kind.replace(' ', '').upper()}"
    team = {"of a foreign team": "T2", "without a team": ""}.get(kind, HOME)
    named = {role: {f"U0{role.upper()}"} for role in ROLES if role != "viewer"}
    if kind not in ROLES and kind != "guest":
        named = {role: {user} for role in named}
    named["deployer"].add(OTHER.user)
    roles = {Role(role): Grant(users=frozenset(users)) for role, users in named.items()}
    access = Access(frozenset({CHANNEL}), {**roles, Role.VIEWER: Grant(everyone=True)})
    store, messenger = InMemoryReleaseStore(clock=lambda: T0 + 10 * MINUTE), RecordingMessenger()
    accounts = {
        "guest": PersonKind.GUEST,
        "deactivated": PersonKind.DEACTIVATED,
        "nonexistent": PersonKind.UNKNOWN,
        "of a foreign team": PersonKind.STRANGER,
    }
    directory = InMemoryDirectory(kinds={user: accounts.get(kind, PersonKind.MEMBER)}, team=HOME)
    app = App(a_target(), Rules(), CHANNEL, Strategy.ROLLING, manifests=("hello.yaml",))
    context = Context(
        store,
        store.queue,
        InMemoryClusters(),
        messenger,
        directory,
        Catalog({"hello": app}, ("local",), access),
        SlackRendering(),
        InMemoryManifests(),
    )
    return Office(context, store, messenger, Person(team, user, kind))


def outcome(
    desk: Office, reply: Reply | None, denied: Sequence[str] = (DENIED.pattern,)
) -> list[str]:
    """Every line that says that the person may not: at once, or before the effect."""
    lines = [reply.line] if isinstance(reply, Refusal) else []
    for query in desk.store.queue.asked:
        run_query(desk.context, query)
    lines += [sent.message.text for sent in desk.messenger.sent]
    for release in desk.store.active():
        lines += effect_on(desk, release)
    return [line for line in lines if re.search("|".join(denied), line)]


def effect_on(desk: Office, release: Release) -> Iterator[str]:
    if release.phase is Phase.QUEUED and release.id not in desk.acted_on:
        yield refusal_to_start(desk.context, release)
    yield from (event.text for event in answer_requests(desk.context, release).events)
    yield from (event.text for event in check_people(desk.context, release).events)


def otherwise_than_published(
    act: str, path: str, use: Callable[[Office], Reply | None]
) -> dict[str, list[str]]:
    """Each kind of person that may what the table denies, or may not what it allows, with the
    denials that were seen."""
    wrong = {}
    for kind in KINDS:
        desk = office(kind)
        denied = outcome(desk, use(desk))
        if (not denied) != may(kind, act, path):
            wrong[kind] = denied
    return wrong


def kept(desk: Office, story: str) -> Release:
    release = replace(CARDS[story], id="", requested_by=desk.starter)
    created = desk.store.create(release, dedup_key="", same_as="", operation=story).release
    desk.acted_on.append(created.id)
    return created


# --- what is typed --------------------------------------------------------------------------------

RUNNING = {
    "rollout promote": "canary waiting for approval",
    "rollout abort": "rolling",
    "rollout abort --force": "rolling",
    "rollout pause": "rolling",
    "rollout resume": "paused by a person",
}


def text_of(act: str) -> str:
    if act == "rollout abort --force":
        return "rollout abort hello --force"
    if act.startswith("rollout"):
        return f"{act} hello"
    return f"{act} {BY_NAME[act].examples[0].format(app='hello')}".strip()


def type_it(desk: Office, act: str, path: str) -> Reply:
    if act in RUNNING:
        kept(desk, RUNNING[act])
    return type_text(desk, text_of(act), path)


def type_text(desk: Office, text: str, path: str) -> Reply:
    typed = Invocation(desk.person, CHANNEL, text, "/pilothouse", "")
    match path:
        case "mention":
            typed = replace(typed, command="@mention", via="mention")
        case "thread":
            typed = replace(typed, command="@mention", via="mention", thread_ts="1.0")
        case "direct message":
            typed = replace(typed, channel=DIRECT)
        case "suggestion":
            return choose_it(desk, typed)
        case "form":
            typed = replace(typed, via="modal")
        case "form of the home tab":
            typed = replace(typed, via="modal", channel="")
        case _:
            assert path == "slash"
    return handle_command(desk.context, typed)


def choose_it(desk: Office, typed: Invocation) -> Reply:
    """As if it had been offered to this person."""
    asked = {
        "person": {"team": desk.person.team, "user": desk.person.user},
        "channel": CHANNEL,
        "command": "/pilothouse",
        "thread_ts": "",
        "meant": [typed.text],
    }
    desk.store.put("meant:1", json.dumps(asked), ttl_ms=MINUTE)
    value = json.dumps({"token": "1", "choice": "0"})
    return handle_click(desk.context, Click(desk.person, CHANNEL, "meant", value, "1.0"))


TYPED = ("slash", "mention", "thread", "direct message", "suggestion")
ROWS = [(path, act) for path in TYPED for act in (*COMMANDS, *FREE)]
ROWS += [("form", "deploy"), ("form of the home tab", "deploy")]


@pytest.mark.parametrize(("path", "act"), ROWS)
def test_what_is_typed(path: str, act: str) -> None:
    assert otherwise_than_published(act, path, lambda desk: type_it(desk, act, path)) == {}


# --- buttons of a card ----------------------------------------------------------------------------

SHOWN = {
    "approve": "waiting for approval to start",
    "promote": "canary waiting for approval",
    "reject": "canary waiting for approval",
    "pause": "rolling",
    "resume": "paused by a person",
    "abort": "rolling",
    "finish": "bluegreen in its rollback window",
    "adopt": "drifted",
    "replace": "queued behind another",
}


def click_it(desk: Office, action: str) -> Reply:
    front = kept(desk, "rolling") if action == "replace" else None
    release = kept(desk, SHOWN[action])
    if front is not None:
        behind = replace(release, queued_behind=front.id)
        release = desk.store.save(behind, (), operation="behind")
    value = json.dumps({"release": release.id, "front": front.id if front else ""})
    for shown in buttons_of(release):
        if shown["action_id"].removeprefix(ACTION_PREFIX).partition(":")[0] == action:
            value = shown["value"]
    click = Click(desk.person, CHANNEL, action, value, "1.0", was_asked_why=True)
    return handle_click(desk.context, click)


@pytest.mark.parametrize("act", BUTTONS)
def test_a_button_of_a_card(act: str) -> None:
    assert otherwise_than_published(act, "button", lambda desk: click_it(desk, act)) == {}


# --- everything else that is clicked or opened ----------------------------------------------------


def click_token(desk: Office, action: str, token: str) -> Reply:
    value = json.dumps({"token": token})
    return handle_click(desk.context, Click(desk.person, CHANNEL, action, value, "1.0"))


def confirm(desk: Office) -> Reply:
    query = a_query(ApplyCommand("hello"), asker=desk.person, confirms={})
    return click_token(desk, "go_on", keep_query(desk.context, "confirm", query))


def share(desk: Office) -> Reply:
    query = a_query(PodsCommand("hello"), asker=desk.person)
    return click_token(desk, "share", keep_query(desk.context, "share", query))


def send_file(desk: Office) -> Reply:
    return click_token(desk, "file", keep_query(desk.context, "file", a_query(PodsCommand())))


def show(what: str) -> Callable[[Office], Reply]:
    def click(desk: Office) -> Reply:
        value = json.dumps({"what": what})
        return handle_click(desk.context, Click(desk.person, CHANNEL, "show", value, "1.0"))

    return click


def open_and_submit(desk: Office) -> Reply:
    """Opening the form takes nothing: what it asks for is judged when it is submitted."""
    opened = show("deploy hello")(desk)
    return opened if isinstance(opened, Refusal) else type_it(desk, "deploy", "form")


def open_home(desk: Office) -> None:
    publish_home(desk.context, desk.person)


OTHERS: dict[str, tuple[str, Callable[[Office], Any]]] = {
    "confirmation": ("apply", confirm),
    "share": ("pods", share),
    "file": ("pods", send_file),
    "help's button for the form": ("deploy", open_and_submit),
    "help's button for a list": ("pods", show("pods")),
    "home tab": ("pods", open_home),
}


@pytest.mark.parametrize("path", OTHERS)
def test_every_other_path(path: str) -> None:
    act, use = OTHERS[path]
    assert otherwise_than_published(act, path, use) == {}


@pytest.mark.parametrize("kind", KINDS)
def test_a_change_of_the_form(kind: str) -> None:
    """It draws versions and a plan, or nothing."""
    desk = office(kind)
    form = DeployForm(apps=("hello",), channel=CHANNEL, app="hello")
    redraw(desk.context, FormChange(desk.person, "V1", 1, form))
    assert bool(desk.messenger.sent) == may(kind, "pods", "form")


def test_every_published_act_has_its_rows() -> None:
    assert SHOWN.keys() == BUTTONS.keys()
    assert {name.split()[0] for name in COMMANDS} | {*FREE} == set(BY_NAME)
