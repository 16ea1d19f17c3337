"""Each process starts with the environment and the files that the chart renders for a Redis with a
password."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from bot.store import Leases, connect
from sandbox.free_ports import free_port
from sandbox.redis_server import EmbeddedRedis
from tests.chart.conftest import CATALOG, FILES, Render, pods, relocated
from tests.conftest import eventually
from tests.processes import running

pytestmark = pytest.mark.control_plane

PASSWORD = "pa55word"
REDIS = {
    "external": {"bundled": False, "existingSecret": "redis"},
    "bundled, with a password": {"existingSecret": "redis"},
}


@pytest.fixture(scope="module")
def guarded_redis_url() -> Iterator[str]:
    """Of a server that asks for a password."""
    with EmbeddedRedis(append_only=True) as server:
        connect(server.url).config_set("requirepass", PASSWORD)
        yield f"redis://:{PASSWORD}@127.0.0.1:{server.port}/0"


@pytest.mark.parametrize("redis", REDIS)
@pytest.mark.parametrize("process", ["bot", "worker", "watcher"])
def test_a_process_starts_as_the_chart_renders_it(
    render: Render, tmp_path: Path, guarded_redis_url: str, redis: str, process: str
) -> None:
    rendered = render(redis=REDIS[redis], slack={"apiUrl": "http://127.0.0.1:9/api/"})
    # The chart runs the watcher inside the worker; by itself it has the worker's environment.
    pod = pods(rendered)[f"pilothouse-{'worker' if process == 'watcher' else process}"]
    given = relocated(pod, tmp_path, redis_url=guarded_redis_url)
    assert "REDIS_URL_FILE" in given and "REDIS_URL" not in given
    given["PILOTHOUSE_METRICS_PORT"] = str(free_port())
    _write_catalog(tmp_path)
    given["PILOTHOUSE_CONFIG"] = str(tmp_path / "catalog.yaml")
    arguments = pod["spec"]["containers"][0]["args"][1:] if process == "worker" else ()
    with running(process, given, tmp_path / "log", *arguments):
        if process == "worker":
            leases = Leases(connect(guarded_redis_url))
            assert eventually(lambda: leases.counters().get("jobs:sweep:done", 0) > 0)


def _write_catalog(folder: Path) -> None:
    (folder / "catalog.yaml").write_text(yaml.safe_dump(CATALOG))
    for name, content in FILES.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(content)
