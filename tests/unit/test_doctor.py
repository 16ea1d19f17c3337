"""The doctor beside a real Redis-compatible server, the simulated cluster and the local Slack:
well, and each thing that may be wrong."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from redis import Redis

from bot.doctor import (
    CLOCKS_APART_MS,
    examine_clusters,
    examine_redis,
    examine_redis_user,
    main,
    why_stuck,
)
from bot.releases.facts.release import Outage, Phase
from bot.store import RedisReleaseStore, connect
from config.catalog import load_catalog
from config.settings import Settings
from sandbox.cluster import SimulatedCluster
from sandbox.cluster.simulation import kubeconfig_text
from sandbox.redis_server import EmbeddedRedis, chart_rules
from sandbox.slack import LocalSlack
from tests.builders import T0, a_release

CATALOG = """
clusters:
  local: {kubeconfig: ./kubeconfig, context: sandbox}
defaults: {channel: C0RELEASES}
apps:
  hello: {cluster: local}
access:
  roles:
    deployer: {users: [U0DEV1], groups: [S0DEV]}
"""
MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000


@pytest.fixture(scope="module")
def slack() -> Iterator[LocalSlack]:
    with LocalSlack(rate_scale=0) as running:
        yield running


@pytest.fixture(scope="module")
def cluster() -> Iterator[SimulatedCluster]:
    with SimulatedCluster() as running:
        yield running


class Surroundings:
    def __init__(
        self,
        folder: Path,
        slack: LocalSlack,
        cluster: SimulatedCluster,
        monkeypatch: pytest.MonkeyPatch,
        redis_url: str,
    ) -> None:
        self.slack, self.cluster, self.catalog = slack, cluster, folder / "catalog.yaml"
        cluster.kubeconfig(folder / "kubeconfig")
        self.catalog.write_text(CATALOG)
        for name, value in {
            "SLACK_BOT_TOKEN": slack.settings.bot_token,
            "SLACK_API_URL": slack.api_url,
            "REDIS_URL": redis_url,
            "PILOTHOUSE_CONFIG": str(self.catalog),
        }.items():
            monkeypatch.setenv(name, value)


@pytest.fixture
def around(
    tmp_path: Path,
    slack: LocalSlack,
    cluster: SimulatedCluster,
    monkeypatch: pytest.MonkeyPatch,
    redis_url: str,
) -> Iterator[Surroundings]:
    slack.reset()
    slack.channel("C0RELEASES", bot_is_member=True)
    yield Surroundings(tmp_path, slack, cluster, monkeypatch, redis_url)
    slack.reset()


def test_all_is_well_and_every_id_has_its_name(
    around: Surroundings, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([]) == 0, capsys.readouterr().out
    told = capsys.readouterr().out
    assert "no problems found" in told
    assert (
        "every permission is granted in namespace default" in told
        and "every scope is granted" in told
    )
    assert "C0RELEASES #" in told and "S0DEV @" in told and "U0DEV1 " in told
    assert "!!" not in told


def test_a_server_that_may_evict_is_named_with_what_to_set(
    around: Surroundings, redis_client: Redis, capsys: pytest.CaptureFixture[str]
) -> None:
    redis_client.config_set("maxmemory-policy", "allkeys-lru")
    try:
        assert main([]) == 1
    finally:
        redis_client.config_set("maxmemory-policy", "noeviction")
    assert "set `maxmemory-policy noeviction`" in capsys.readouterr().out


def redis_findings(url: str) -> list[str]:
    return [str(finding) for finding in examine_redis_user(url)]


def test_the_users_of_the_chart_are_what_the_doctor_wants_to_find() -> None:
    users = {user: chart_rules(user) for user in ("bot", "worker")}
    with EmbeddedRedis(users=users) as server:
        found = redis_findings(server.url_of("worker"))
        of_the_administrator = redis_findings(server.url)
    assert found == ["  ok  Redis asks for a password; connected as worker"]
    assert any("may do everything" in line for line in of_the_administrator)


def test_each_command_and_key_that_redis_denies_is_named() -> None:
    rules = set(chart_rules("worker")) - {"+blmove", "+config|get", "~rq:queues"}
    with EmbeddedRedis(users={"worker": sorted(rules)}) as server:
        line, *_ = redis_findings(server.url_of("worker"))
        assert line.startswith("  !!  Redis denies blmove, config|get and rq:queues: give")
        assert connect(server.url).ping()


def test_a_redis_without_passwords_is_a_problem_beyond_this_machine(redis_url: str) -> None:
    assert any("on this machine" in line for line in redis_findings(redis_url))
    beyond = redis_findings(redis_url.replace("127.0.0.1", "0.0.0.0"))  # is this machine too
    assert len(beyond) == 2
    assert "!!  Redis admits everyone who reaches it: make users with passwords" in beyond[0]
    assert "ok  the connection is not encrypted" in beyond[1]


def test_a_missing_permission_is_named(
    around: Surroundings, capsys: pytest.CaptureFixture[str]
) -> None:
    around.cluster.deny("patch", "apps", "deployments", "default")
    try:
        assert main([]) == 1
    finally:
        around.cluster.run(lambda core: core.access.denials.clear())
    assert "may not patch deployments.apps in default" in capsys.readouterr().out


def test_clusters_that_hang_delay_neither_the_others_nor_the_end(around: Surroundings) -> None:
    """Two that accept connections and never answer."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        for name in ("ap", "us"):
            text = kubeconfig_text(address)
            (around.catalog.parent / name).write_text(text, encoding="utf-8")
        hanging = "".join(f"  {one}: {{kubeconfig: ./{one}}}\n" for one in ("ap", "us"))
        text = CATALOG.replace("defaults:", f"{hanging}defaults:")
        around.catalog.write_text(text.replace("cluster: local", "clusters: [ap, local, us]"))
        began = time.monotonic()
        found = [str(one) for one in examine_clusters(load_catalog(around.catalog), within_s=1.5)]
        took = time.monotonic() - began
    assert found == [
        "  !!  ap: did not answer within 1.5 s",
        "  ok  local: every permission is granted in namespace default",
        "  !!  us: did not answer within 1.5 s",
    ]
    assert took < 2.5


def test_a_missing_scope_and_an_unknown_person_are_named(
    around: Surroundings, capsys: pytest.CaptureFixture[str]
) -> None:
    around.slack.configure(
        scopes=["chat:write", "commands", "users:read", "usergroups:read", "channels:read"]
    )
    around.catalog.write_text(CATALOG.replace("U0DEV1", "U0NOBODY"))
    try:
        assert main([]) == 1
    finally:
        around.slack.reset()
    told = capsys.readouterr().out
    assert "lacks the scope files:write" in told
    assert "U0NOBODY (deployer): Slack does not know it" in told


def test_a_channel_without_the_bot_is_named(
    around: Surroundings, capsys: pytest.CaptureFixture[str]
) -> None:
    around.slack.channel("C0RELEASES", bot_is_member=False)
    assert main([]) == 1
    assert "the bot is not in the channel" in capsys.readouterr().out


def test_an_audit_channel_without_the_bot_is_named(
    around: Surroundings, capsys: pytest.CaptureFixture[str]
) -> None:
    """The head would be posted nowhere, and nobody would notice."""
    around.slack.channel("C0GENERAL", bot_is_member=False)
    around.catalog.write_text(f"{CATALOG}audit: {{channel: C0GENERAL}}\n")
    assert main([]) == 1
    told = capsys.readouterr().out
    assert "(audit.channel): the bot is not in the channel" in told


def test_a_revoked_token_is_one_clear_line(
    around: Surroundings, capsys: pytest.CaptureFixture[str]
) -> None:
    around.slack.configure(token_revoked=True)
    try:
        assert main([]) == 1
    finally:
        around.slack.configure(token_revoked=False)
    told = capsys.readouterr().out
    assert "check SLACK_BOT_TOKEN" in told and "Traceback" not in told


def test_a_part_that_is_not_there_yet_can_be_left_out(
    around: Surroundings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    del around
    monkeypatch.setenv("REDIS_URL", "redis://worker@127.0.0.1:1/0")
    main(["--without", "redis,releases"])
    titles = [line for line in capsys.readouterr().out.splitlines() if line[0] != " "]
    assert titles[:-1] == ["Kubernetes", "Metrics", "Slack"]
    with pytest.raises(SystemExit):
        main(["--without", "rediss"])
    assert (
        "no part `rediss`: use redis, kubernetes, metrics, slack or releases"
        in capsys.readouterr().err
    )


def test_without_settings_it_prints_every_mistake_and_exits_with_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("REDIS_URL", "SLACK_BOT_TOKEN", "PILOTHOUSE_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    assert main([]) == 2
    assert {"REDIS_URL", "SLACK_BOT_TOKEN", "PILOTHOUSE_CONFIG"} <= set(
        capsys.readouterr().err.split()
    )


def test_different_clocks_are_reported(redis_url: str, redis_client: Redis) -> None:
    at_redis = RedisReleaseStore(redis_client).now()
    settings = Settings(redis_url=redis_url, config=Path())
    findings = list(examine_redis(settings, lambda: (at_redis + 90_000) / 1000))
    assert any(finding.is_problem and "apart" in finding.text for finding in findings)
    assert CLOCKS_APART_MS < 90_000


def test_what_moves_or_waits_as_long_as_people_may_is_not_stuck() -> None:
    waiting = a_release(phase=Phase.AWAITING_PROMOTION, phase_since=T0)
    assert why_stuck(waiting, T0 + 20 * HOUR) == ""
    assert why_stuck(a_release(phase=Phase.PROGRESSING, phase_since=T0), T0 + 5 * MINUTE) == ""
    assert why_stuck(a_release(phase=Phase.QUEUED, queued_behind="hello-41"), T0 + 3 * DAY) == ""


def test_a_release_that_neither_moves_nor_is_reachable_is_stuck() -> None:
    assert "waited for people" in why_stuck(
        a_release(phase=Phase.PAUSED, phase_since=T0), T0 + 2 * DAY
    )
    rolling = a_release(phase=Phase.PROGRESSING, phase_since=T0)
    assert "--force" in why_stuck(rolling, T0 + 2 * HOUR)
    assert "unreachable" in why_stuck(
        replace(rolling, unreachable=Outage(T0, "connection refused")), T0 + 2 * MINUTE
    )
