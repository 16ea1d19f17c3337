"""What the users of the chart's Redis may do is what bot and worker do, and no more."""

from __future__ import annotations

import fnmatch

import pytest
from redis import Redis

from bot.store import Leases
from bot.store.access import User, user_rules
from bot.store.connection import PREFIX
from bot.store.health import check_settings
from bot.work_queue import DELIVERY, QUERY_JOB, Route, RqWorkQueue
from jobs.admission import allow
from jobs.rq_worker import make_worker
from sandbox.redis_server import EmbeddedRedis, chart_rules
from tests.architecture.test_redis_keys import documented_keys, kind_of
from tests.journeys.conftest import ADMIN, CHANNEL, DEVELOPER, MANAGER, ON_CALL, VIEWER, Journey
from tests.redis_calls import (
    called_by_rq,
    called_by_script,
    called_by_us,
    script_of,
    scripts,
)
from tests.redis_monitor import Usage, denials, monitored

pytestmark = pytest.mark.usefixtures("only_simulated")  # Redis is the same for both clusters

CONNECTING = frozenset(
    {"client|setinfo", "client|setname", "ping", "info", "evalsha", "script|load"}
)
"""What redis-py and RQ send once for each connection, process or script."""
OF_THE_VERSION_BEFORE = frozenset({"multi", "exec"})
"""A bot enqueued with them, and one of before runs on while an upgrade replaces it."""
OF_THE_API = {"xrange"}
"""The bot's stream of events reads the audit with it; nobody opens the API in this journey."""


def granted_commands(user: str) -> set[str]:
    return {rule[1:] for rule in chart_rules(user) if rule.startswith("+")}


def granted_keys(user: str) -> set[str]:
    return {rule[1:] for rule in chart_rules(user) if rule.startswith("~")}


@pytest.mark.parametrize("user", ["bot", "worker"])
def test_a_user_starts_with_nothing_and_gets_commands_by_name(user: str) -> None:
    rules = chart_rules(user)
    assert {rule[0] for rule in rules} == {"+", "~"}
    assert not [rule for rule in rules if rule.startswith("+@") or rule == "~*"]


@pytest.mark.parametrize("user", ["bot", "worker"])
def test_the_chart_has_the_rules_that_the_doctor_compares_with(user: User) -> None:
    assert chart_rules(user) == user_rules(user), "copy bot/store/users to helm/pilothouse"


@pytest.fixture
def usage_of_a_worker() -> Usage:
    """Of one that runs a job, fails at another, and cleans up."""
    users = {user: chart_rules(user) for user in ("bot", "worker")}
    with EmbeddedRedis(users=users) as server:
        with monitored(server.url) as usage:
            connection = Redis.from_url(server.url_of("worker"))
            queue = RqWorkQueue(connection, wake=Leases(connection).wake, routes=ROUTES)
            queue.enqueue_wake("deliver:hello-1", "token")
            queue.enqueue_wake("noticed:hello-1", "token")
            worker = make_worker(DELIVERY, connection, allowed=allow(ROUTES, QUERY_JOB, DELIVERY))
            worker.work(burst=True, logging_level=None)
            worker.clean_registries()
            check_settings(connection)
        assert denials(server.url) == []
    return usage


def succeed(_wake_id: str, _token: str) -> None:
    """A job."""


def fail(_wake_id: str, _token: str) -> None:
    raise ValueError("as it happens")


ROUTES = {
    "deliver": Route(DELIVERY, f"{__name__}.{succeed.__name__}"),
    "noticed": Route(DELIVERY, f"{__name__}.{fail.__name__}"),
}


@pytest.mark.parametrize("name", scripts())
def test_the_worker_may_run_every_line_of_every_script(name: str) -> None:
    assert called_by_script(name) - granted_commands("worker") == set()


@pytest.mark.slow
def test_bot_and_worker_use_what_their_users_may_and_may_what_they_use(
    journey: Journey, usage_of_a_worker: Usage
) -> None:
    with monitored(journey.sandbox.redis.url) as usage:
        _tell_everything(journey)
    read = {user: _read_in_scripts(usage.scripts[user]) for user in ("bot", "worker")}
    assert read["bot"] - granted_commands("bot") == set(), "a script of the bot calls it"
    used = {
        # while no worker runs, the bot creates the releases itself
        "bot": usage.commands("bot") | read["bot"] | called_by_script("create"),
        "worker": usage.commands("worker")
        | usage_of_a_worker.commands("worker")
        | {call for name in scripts() for call in called_by_script(name)}
        | called_by_rq()
        | called_by_us(),
    }
    keys = {
        "bot": usage.keys("bot"),
        "worker": usage.keys("worker") | usage_of_a_worker.keys("worker"),
    }
    for user in ("bot", "worker"):
        unused = granted_commands(user) - used[user] - CONNECTING - OF_THE_VERSION_BEFORE
        unused -= OF_THE_API if user == "bot" else set()
        assert unused == set(), f"{user}: never sent"
        idle = {rule for rule in granted_keys(user) if not fnmatch.filter(keys[user], rule)}
        assert idle == set(), f"{user}: no such key"
    touched = {kind_of(key.removeprefix(PREFIX)) for user in keys for key in keys[user]}
    assert touched - {""} <= documented_keys(), "docs/reference/redis.md lacks it"


def _read_in_scripts(digests: set[str]) -> set[str]:
    return {
        call for digest in digests if (name := script_of(digest)) for call in called_by_script(name)
    }


def _tell_everything(journey: Journey) -> None:
    """A little of each thing that people do."""
    slack = journey.sandbox.slack
    slack.open_home(DEVELOPER)
    journey.say("/deploy {app}")
    form = journey.until(lambda: slack.views(DEVELOPER), "the form")[0]
    slack.choose(DEVELOPER, form["id"], "deploy_version", "2.0.0")
    journey.until(lambda: "Plan as of now" in str(slack.views(DEVELOPER)), "the plan in the form")
    slack.close_view(DEVELOPER)
    journey.say("/deploy {app} missing")
    journey.sees(r"{app}.*rolled back")
    journey.say('/freeze {app} reason="incident"', user=ADMIN)
    journey.sees(r"{app} is frozen: incident", user=ADMIN)
    assert "incident" in journey.say("/deploy {app} 2.0.0")
    journey.say("/unfreeze {app}", user=ADMIN)
    journey.sees(r"{app} is no longer frozen", user=ADMIN)
    journey.say("/deploy {app} 2.0.0 canary steps=50 hold=0s")
    journey.sees(r"waiting for approval")
    journey.click("Promote", user=MANAGER)
    journey.sees(r"{app} is on 2\.0\.0")
    journey.say("/scale {app} 3", user=ON_CALL)
    journey.say("/rollout abort {app}")
    journey.say("/traffic {app}")
    journey.sees(r"{app}: ready endpoints")
    journey.click("Share here", user=DEVELOPER)
    journey.sees(r"{app}: ready endpoints", user=VIEWER)
    journey.say("/pilothouse releases {app}")
    journey.say("/rollout history {app}")
    journey.sees(r"{app}: revisions of deployment")
    slack.command(DEVELOPER, CHANNEL, "/pilothouse whoami")
