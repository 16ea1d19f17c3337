"""From a Slack payload through the real Bolt app to an operation, and back."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from dataclasses import replace
from urllib.parse import urlencode

import httpx
import pytest

from bot.commands.model import PodsCommand
from bot.operations.context import Context
from bot.operations.intake.handle_command import handle_command
from bot.operations.replies import Refusal
from bot.operations.requests import Invocation
from bot.query import ReplyTo
from bot.releases.facts.changes import Deploy
from bot.releases.facts.people import Person
from bot.releases.facts.release import Phase
from bot.releases.facts.target import Strategy
from bot.store import Leases, RedisReleaseStore, connect
from bot.work_queue import RqWorkQueue
from config.settings import Settings
from sandbox.slack import LocalSlack
from tests.blocks.stories import NOW, ROLLING
from tests.shared_server import SharedServer
from tests.unit.slack.conftest import CHANNEL, Bot, serving


def test_a_typed_command_starts_a_release_and_is_acknowledged_with_a_receipt(
    bot: Bot, slack: LocalSlack
) -> None:
    answer = slack.command("U0DEV1", CHANNEL, "/deploy hello 2.0.0 canary")
    assert answer["text"] == "hello → 2.0.0 canary: started as hello-1."
    (release,) = bot.store.active()
    assert release.change == Deploy("2.0.0", Strategy.CANARY)
    assert (release.requested_by.team, release.requested_by.user) == ("T0LOCAL", "U0DEV1")


def test_a_mistake_is_answered_privately_and_starts_nothing(bot: Bot, slack: LocalSlack) -> None:
    answer = slack.command("U0DEV1", CHANNEL, "/deploy helo 2.0.0")
    assert "Did you mean `hello`?" in answer["text"]
    assert not bot.store.active()
    assert not [m for m in slack.messages(CHANNEL, user="U0MANAGER") if "helo" in m.get("text", "")]


def test_every_command_name_gets_a_reply(bot: Bot, slack: LocalSlack) -> None:
    assert "Roles: deployer" in slack.command("U0DEV1", CHANNEL, "/whoami")["text"]
    assert "Roles: deployer" in slack.command("U0DEV1", CHANNEL, "/pilothouse whoami")["text"]
    assert "Roles: deployer" in slack.command("U0DEV1", CHANNEL, "/ph-whoami")["text"]


def test_a_reason_with_the_word_payload_reaches_the_release(bot: Bot, slack: LocalSlack) -> None:
    slack.command("U0DEV1", CHANNEL, '/deploy hello 2.0.0 reason="payload=1 & more"')
    assert bot.store.active()[0].reason == "payload=1 & more"


QUESTIONS = [
    "pods hello",
    "get services auth",
    "get ev",
    "explain deploy.spec.replicas --recursive",
    "traffic hello",
    "rollout status",
    "rollout history hello --revision=2",
    "rollout pause hello",
    "apps",
    "deploy hello 2.0.0 canary dry-run",
]


@pytest.mark.parametrize("text", QUESTIONS)
def test_a_query_means_the_same_by_name_umbrella_and_mention(
    bot: Bot, slack: LocalSlack, text: str
) -> None:
    ts = bot.context.messenger.post(CHANNEL, bot.context.render.notice("about hello"))
    slack.command("U0DEV1", CHANNEL, f"/{text}")
    slack.command("U0DEV1", CHANNEL, f"/pilothouse {text}")
    slack.command("U0DEV1", CHANNEL, f"<@U0BOT> {text}", thread_ts=ts)
    slack.wait_for(lambda: len(bot.queue.asked) == 3, what="three questions")
    by_name, by_umbrella, by_mention = (
        replace(query, reply_to=ReplyTo(CHANNEL), dedup_key="") for query in bot.queue.asked
    )
    assert by_name == by_umbrella == by_mention
    assert [bool(query.reply_to.thread_ts) for query in bot.queue.asked] == [False, False, True]


@pytest.mark.parametrize(
    "text",
    ["releases", "whoami", "help get", "traffic nope", "get", "rollout abort auth", "scale hello"],
)
def test_an_immediate_reply_is_the_same_each_way(bot: Bot, slack: LocalSlack, text: str) -> None:
    ts = bot.context.messenger.post(CHANNEL, bot.context.render.notice("about hello"))
    by_name, by_umbrella = (
        slack.command("U0DEV1", CHANNEL, f"{way}{text}")["text"] for way in ("/", "/pilothouse ")
    )
    slack.command("U0DEV1", CHANNEL, f"<@U0BOT> {text}", thread_ts=ts)

    def in_thread() -> list[str]:
        return [
            m["text"]
            for m in slack.messages(CHANNEL, user="U0DEV1", thread_ts=ts)[1:]
            if "U0BOT" not in m["text"]
        ]

    slack.wait_for(in_thread, what="an answer in the thread")
    assert by_name == by_umbrella == in_thread()[-1]


def test_a_cluster_query_goes_to_a_worker_with_its_reply_address(
    bot: Bot, slack: LocalSlack
) -> None:
    slack.command("U0DEV1", CHANNEL, "/pods hello")
    (query,) = bot.queue.asked
    assert query.command == PodsCommand("hello")
    assert query.reply_to.response_url.startswith(slack.url)
    assert not query.reply_to.in_channel  # until its asker shares it


def test_a_person_without_the_role_is_refused_and_nothing_starts(
    bot: Bot, slack: LocalSlack
) -> None:
    assert "You need the" in slack.command("U0MANAGER", CHANNEL, "/deploy hello 2.0.0")["text"]
    assert not bot.store.active()


def private_to(slack: LocalSlack, user: str) -> list[str]:
    """Replies beside the channel's messages, without the receipt of the command itself."""
    found = slack.messages(CHANNEL, user=user)
    texts = [m["text"] for m in found if m.get("ephemeral_to") == user]
    return [text for text in texts if "started as" not in text]


def test_a_click_reaches_its_release_and_only_the_card_shows_it(
    bot: Bot, slack: LocalSlack
) -> None:
    slack.command("U0DEV1", CHANNEL, "/deploy hello 2.0.0")
    release = bot.store.active()[0]
    ts = bot.context.messenger.post(CHANNEL, bot.context.render.card(release, now=bot.store.now()))
    slack.click("U0DEV1", CHANNEL, ts, "release:abort")
    assert bot.settle(release.id).phase is Phase.ABORTED
    slack.click("U0MANAGER", CHANNEL, ts, "release:abort")
    slack.wait_for(
        lambda: "You need" in json.dumps(private_to(slack, "U0MANAGER")),
        what="the refusal, which no card shows",
    )
    assert not private_to(slack, "U0DEV1")


def test_a_click_on_an_old_card_is_refused_and_says_why(bot: Bot, slack: LocalSlack) -> None:
    slack.command("U0DEV1", CHANNEL, "/deploy hello 2.0.0")
    release = bot.store.active()[0]
    ts = bot.context.messenger.post(CHANNEL, bot.context.render.card(release, now=bot.store.now()))
    slack.click("U0DEV1", CHANNEL, ts, "release:abort")
    slack.click("U0DEV1", CHANNEL, ts, "release:abort")
    slack.wait_for(
        lambda: any("is over" in m["text"] for m in slack.messages(CHANNEL, user="U0DEV1")),
        what="the refusal",
    )


def test_a_bare_deploy_opens_the_form_and_submitting_it_equals_typing(
    bot: Bot, slack: LocalSlack
) -> None:
    slack.command("U0DEV1", CHANNEL, "/deploy hello")
    (view,) = slack.views("U0DEV1")
    assert view["callback_id"] == "deploy"
    slack.submit(
        "U0DEV1",
        {
            "version": {"deploy_version": "2.0.0"},
            "strategy": {"deploy_strategy": "canary"},
            "reason": {"deploy_reason": 'say "hi"'},
        },
        view_id=view["id"],
    )
    (release,) = bot.store.active()
    assert release.change == Deploy("2.0.0", Strategy.CANARY)
    assert release.reason == "say 'hi'"
    assert release.command == "deploy hello 2.0.0 canary reason=\"say 'hi'\""


def test_a_mistake_in_the_form_is_shown_at_its_field(bot: Bot, slack: LocalSlack) -> None:
    slack.command("U0DEV1", CHANNEL, "/deploy hello")
    (view,) = slack.views("U0DEV1")
    answer = slack.submit("U0DEV1", {"version": {"deploy_version": "2..$"}}, view_id=view["id"])
    assert "is not a version" in json.dumps(answer)
    assert slack.views("U0DEV1")
    assert not bot.store.active()


def test_changing_the_form_redraws_its_command(bot: Bot, slack: LocalSlack) -> None:
    slack.command("U0DEV1", CHANNEL, "/deploy hello")
    (view,) = slack.views("U0DEV1")
    slack.choose("U0DEV1", view["id"], "deploy_strategy", "canary")
    slack.wait_for(
        lambda: "hello VERSION canary" in json.dumps(slack.views("U0DEV1")),
        what="the form drawn anew",
    )


def test_a_mention_works_and_answers_in_its_thread(bot: Bot, slack: LocalSlack) -> None:
    asked = slack.command("U0DEV1", CHANNEL, "<@U0BOT> releases")
    ts = asked["message"]["ts"]
    slack.wait_for(
        lambda: any("Releases" in m["text"] for m in slack.messages(CHANNEL, thread_ts=ts)),
        what="the answer in the thread",
    )


def signed(bot: Bot, secret: str, body: str, *, at: float | None = None) -> httpx.Response:
    stamp = str(int(time.time() if at is None else at))
    signature = hmac.new(secret.encode(), f"v0:{stamp}:{body}".encode(), hashlib.sha256).hexdigest()
    headers = {
        "X-Slack-Request-Timestamp": stamp,
        "X-Slack-Signature": f"v0={signature}",
        "Content-Type": "application/x-www-form-urlencoded",
    }
    return httpx.post(f"{bot.url}/slack/events", content=body, headers=headers, trust_env=False)


def body_of(text: str, trigger: str = "1.2.3") -> str:
    fields = {
        "command": "/deploy",
        "text": text,
        "team_id": "T0LOCAL",
        "user_id": "U0DEV1",
        "channel_id": CHANNEL,
        "trigger_id": trigger,
    }
    return urlencode(fields)


def test_a_wrong_signature_and_a_stale_request_change_nothing(bot: Bot, slack: LocalSlack) -> None:
    assert signed(bot, "wrong", body_of("hello 2.0.0")).status_code == 401
    assert (
        signed(
            bot, slack.settings.signing_secret, body_of("hello 2.0.0"), at=time.time() - 600
        ).status_code
        == 401
    )
    assert not bot.store.active()


def test_a_replayed_request_gives_the_first_answer(bot: Bot, slack: LocalSlack) -> None:
    for _ in range(2):
        assert signed(bot, slack.settings.signing_secret, body_of("hello 2.0.0")).status_code == 200
    assert len(bot.store.active()) == 1


@pytest.mark.parametrize("body", [b"{", b"\xff\xfe", b"payload=%7B", b"", b"[1]", b"payload=1"])
def test_a_malformed_request_is_refused(bot: Bot, body: bytes) -> None:
    status = httpx.post(f"{bot.url}/slack/events", content=body, trust_env=False).status_code
    assert status in (400, 401)


def test_an_oversized_body_is_refused_unread(bot: Bot) -> None:
    assert (
        httpx.post(f"{bot.url}/slack/events", content=b"x" * 1_100_000, trust_env=False).status_code
        == 413
    )


def test_health_readiness_and_metrics_are_served(bot: Bot, slack: LocalSlack) -> None:
    slack.command("U0DEV1", CHANNEL, "/whoami")
    assert httpx.get(f"{bot.url}/healthz", trust_env=False).text == "ok"
    assert httpx.get(f"{bot.url}/readyz", trust_env=False).text == "ready"
    metrics = httpx.get(f"{bot.url}/metrics", trust_env=False).text
    assert 'pilothouse_slack_requests_total{kind="command",status="200"} 1.0' in metrics


@pytest.fixture
def redis_away(context: Context) -> Context:
    nowhere = connect("redis://127.0.0.1:1/0")
    return replace(
        context,
        store=RedisReleaseStore(nowhere),
        queue=RqWorkQueue(nowhere, wake=Leases(nowhere).wake),
    )


def test_while_redis_is_away_clicks_mentions_forms_and_the_home_tab_say_so(
    shared_server: SharedServer, redis_away: Context, settings: Settings, slack: LocalSlack
) -> None:
    def told() -> list[str]:
        return [
            m["text"]
            for m in slack.messages(CHANNEL, user="U0DEV1")
            if m["text"].startswith("Redis is unreachable")
        ]

    with serving(shared_server, redis_away, settings, slack):
        card = redis_away.messenger.post(CHANNEL, redis_away.render.card(ROLLING, now=NOW))
        slack.click("U0DEV1", CHANNEL, card, "release:pause")
        slack.wait_for(told, what="the answer to the click")
        assert "Nothing was changed" in told()[0]
        mention = slack.command("U0DEV1", CHANNEL, "<@U0BOT> pods hello")["message"]["ts"]
        slack.wait_for(
            lambda: len(slack.messages(CHANNEL, user="U0DEV1", thread_ts=mention)) > 1,
            what="the answer to the mention",
        )
        answer = slack.messages(CHANNEL, user="U0DEV1", thread_ts=mention)[-1]["text"]
        assert answer.startswith("Redis is unreachable") and "Nothing was started" in answer
        slack.command("U0DEV1", CHANNEL, "/deploy hello")
        refused = slack.submit("U0DEV1", {"version": {"deploy_version": "2.0.0"}})
        assert refused["errors"]["version"].startswith("Redis is unreachable")
        slack.open_home("U0DEV1")
        slack.wait_for(
            lambda: "Redis is unreachable" in json.dumps(slack.home("U0DEV1")),
            what="the home tab that says so",
        )


def test_while_redis_is_away_commands_say_so_and_help_works(
    shared_server: SharedServer, redis_away: Context, settings: Settings, slack: LocalSlack
) -> None:
    with serving(shared_server, redis_away, settings, slack) as url:
        for typed in ("/deploy hello 2.0.0", "/pods hello", "/scale hello 3"):
            seen = slack.command("U0DEV1", CHANNEL, typed)
            assert seen["text"].startswith("Redis is unreachable"), seen
            assert "Nothing was started" in seen["text"]
            assert seen["ack_ms"] < 3_000
        assert "/deploy" in slack.command("U0DEV1", CHANNEL, "/pilothouse help")["text"]
        assert httpx.get(f"{url}/readyz").status_code == 503


def test_a_mention_spells_the_person_as_a_command_does(bot: Bot, slack: LocalSlack) -> None:
    slack.command("U0DEV1", CHANNEL, "/deploy hello 2.0.0")
    slack.command("U0DEV1", CHANNEL, "<@U0BOT> deploy auth 2.0.0")
    slack.wait_for(lambda: len(bot.store.active()) == 2, what="both releases")
    typed, mentioned = (bot.store.load(f"{app}-1").requested_by for app in ("hello", "auth"))
    assert (mentioned, mentioned.name) == (typed, typed.name) and typed.name


def test_a_channel_without_the_bot_is_refused_at_once_and_nothing_starts(
    bot: Bot, slack: LocalSlack
) -> None:
    apps = {name: replace(app, channel="") for name, app in bot.context.catalog.apps.items()}
    anywhere = replace(bot.context.catalog.access, channels=frozenset())
    catalog = replace(bot.context.catalog, apps=apps, access=anywhere)
    reply = handle_command(
        replace(bot.context, catalog=catalog),
        Invocation(
            Person("T0LOCAL", "U0DEV1", "developer"),
            "C0GENERAL",
            "deploy hello 2.0.0 canary",
            "/deploy",
            "command:1",
        ),
    )
    assert isinstance(reply, Refusal)
    assert "I am not a member of <#C0GENERAL>" in reply.line and "/invite" in reply.hint
    assert not bot.store.active()


def test_an_undo_of_what_runs_rolls_it_back(bot: Bot, slack: LocalSlack) -> None:
    """There is no button of that name: the verb alone decides who may."""
    slack.command("U0DEV1", CHANNEL, "/deploy hello 2.0.0")
    (release,) = bot.store.active()
    answer = slack.command("U0DEV1", CHANNEL, "/rollout undo hello")["text"]
    assert f"{release.id} is rolling back" in answer
