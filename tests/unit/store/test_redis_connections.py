"""What REDIS_URL may name: TLS with an authority of one's own, Sentinels, and each mistake in one
line."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from bot.ports import StoreUnavailable
from bot.store import RedisReleaseStore, connect
from config.redis_url import mistake_in
from config.settings import SettingsMistakes, read_settings
from sandbox.cluster.network.certificates import self_signed
from sandbox.redis_server import EmbeddedRedis
from tests.conftest import eventually
from tests.fakes.encrypted_redis import SERVICE, encrypted, sentinel_of
from tests.fakes.real_sentinel import real_sentinel


@dataclass(frozen=True)
class Ports:
    plain: int
    tls: int
    sentinel: int
    tls_sentinel: int


@pytest.fixture(scope="module")
def ports() -> Iterator[Ports]:
    pair = self_signed()
    with (
        EmbeddedRedis() as server,
        encrypted(server.port, *pair) as tls,
        sentinel_of(server.port) as sentinel,
        sentinel_of(tls) as of_tls,
        encrypted(of_tls, *pair) as tls_sentinel,
    ):
        yield Ports(server.port, tls, sentinel, tls_sentinel)


@pytest.fixture
def authority(tmp_path: Path) -> str:
    path = tmp_path / "ca.crt"
    path.write_bytes(self_signed()[0])
    return str(path)


def why_not(url: str) -> str:
    with pytest.raises(StoreUnavailable) as away:
        RedisReleaseStore(connect(url)).now()
    return str(away.value)


def test_an_authority_of_ones_own_is_trusted_where_it_is_named(
    ports: Ports, authority: str
) -> None:
    url = f"rediss://127.0.0.1:{ports.tls}/0?ssl_ca_certs={authority}"
    assert RedisReleaseStore(connect(url)).now()
    assert "is not trusted" in why_not(f"rediss://127.0.0.1:{ports.tls}/0")


def test_sentinels_and_servers_speak_tls(ports: Ports, authority: str) -> None:
    url = f"rediss+sentinel://127.0.0.1:{ports.tls_sentinel}/{SERVICE}/0?replicas=0"
    assert RedisReleaseStore(connect(f"{url}&ssl_ca_certs={authority}")).now()
    assert "is not trusted" in why_not(url)


def test_each_mistake_of_an_address_is_one_line(ports: Ports) -> None:
    of_sentinel = f"redis+sentinel://127.0.0.1:{ports.sentinel}"
    lines = {
        f"redis://127.0.0.1:{ports.tls}/0": "closed the connection",
        f"{of_sentinel}/other?replicas=0": "no primary of that service",
        f"redis+sentinel://127.0.0.1:1/{SERVICE}?replicas=0": "No Sentinel could be reached",
        "redis://redis.invalid:6379/0": "has no address",
    }
    for url, line in lines.items():
        said = why_not(url)
        assert line in said and "\n" not in said, (url, said)


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("redis://a:6379/0?ssl_ca_certs=/ca.crt", "begin it with rediss://"),
        ("rediss://a:6379/0?ssl_ca_cert=/ca.crt", "did you mean ssl_ca_certs?"),
        ("redis+sentinel://a:26379/main?replica=1", "did you mean replicas?"),
        ("redis://a:6379/0?socket_timout=1", "did you mean socket_timeout?"),
        ("rediss://a:6379/0?ssl_ca_certs=/none/ca.crt", "cannot be read: No such file"),
    ],
)
def test_an_option_that_nobody_reads_is_refused_at_start(url: str, says: str) -> None:
    assert says in mistake_in(url)
    with pytest.raises(SettingsMistakes, match="REDIS_URL"):
        read_settings({"REDIS_URL": url}, "terminal")


@pytest.mark.parametrize("given", ["", "&sentinel_password=other"])
def test_a_password_that_a_real_sentinel_rejects_is_named(
    ports: Ports, tmp_path: Path, given: str
) -> None:
    with real_sentinel(ports.plain, tmp_path, "pa55word") as port:
        url = f"redis+sentinel://127.0.0.1:{port}/{SERVICE}/0?replicas=0"
        right = f"{url}&sentinel_password=pa55word"
        assert eventually(lambda: _is_reached(right))
        line = why_not(url + given)
        assert line == "The Sentinels reject the credentials: check sentinel_password in REDIS_URL"


def _is_reached(url: str) -> bool:
    """A Sentinel first finds out who its server is."""
    try:
        RedisReleaseStore(connect(url)).now()
    except StoreUnavailable:
        return False
    return True
