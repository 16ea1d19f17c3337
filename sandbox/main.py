"""`pilothouse sandbox`: Redis, a cluster, a local Slack, the bot and a worker, on loopback, until
Ctrl-C; nothing is left behind."""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Protocol

import httpx
import yaml

from bot.stop_signal import StopSignal
from sandbox.free_ports import free_port
from sandbox.guardian import Guardian
from sandbox.prometheus import MISSING, TRAFFIC, find_prometheus, with_address, with_judge
from sandbox.redis_server import EmbeddedRedis, chart_rules
from sandbox.slack import LocalSlack, SlackSettings

DEMO = Path(__file__).parent / "demo"
START_WITHIN_S = 30.0
STOP_WITHIN_S = 12.0
FIRST_COMMANDS = ("/deploy hello 2.0.0", "/pods hello", "/deploy hello missing")


class SandboxDidNotStart(Exception):
    """A part ended or did not answer in time; the message names it and shows the end of its log."""


class SandboxCalledOff(Exception):
    """The sandbox was stopped before it was ready."""


class Process(Protocol):
    """What is used of ``subprocess.Popen``."""

    @property
    def pid(self) -> int: ...

    @property
    def args(self) -> Any: ...

    def poll(self) -> int | None: ...

    def wait(self, timeout: float | None = None) -> int: ...

    def send_signal(self, number: int, /) -> None: ...


class Launch(Protocol):
    """Starts a module of ours with its arguments, as a session of its own: Ctrl-C in the terminal
    reaches the sandbox alone, which ends its parts in order."""

    def __call__(
        self,
        words: Sequence[str],
        *,
        environment: Mapping[str, str],
        output: IO[bytes],
        errors: IO[bytes] | None = None,
    ) -> Process: ...


def launch(
    words: Sequence[str],
    *,
    environment: Mapping[str, str],
    output: IO[bytes],
    errors: IO[bytes] | None = None,
) -> subprocess.Popen[bytes]:
    """Without a file for errors, they go where the output goes."""
    return subprocess.Popen(
        [sys.executable, "-m", *words],
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=errors or output,
        start_new_session=True,
        env=dict(environment),
    )


MORE_CLUSTERS = {"us": "us", "onprem": "eu"}
"""Beside `local`, with their regions."""


@dataclass
class Part:
    """A process of the sandbox and the file with its output."""

    name: str
    process: Process
    log: Path
    environment: Mapping[str, str] = field(repr=False)

    def check(self) -> None:
        code = self.process.poll()
        if code is not None:
            raise SandboxDidNotStart(f"{self.name} ended (exit code {code}):\n{tail(self.log)}")


def tail(log: Path, lines: int = 15) -> str:
    return (
        "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])
        if log.exists()
        else ""
    )


@dataclass
class Sandbox:
    """A running sandbox: where its parts are, for people, tests and tours."""

    slack: LocalSlack
    redis: EmbeddedRedis
    folder: Path
    bot_url: str
    parts: list[Part] = field(default_factory=list)

    @property
    def url(self) -> str:
        return self.slack.url

    @property
    def kubeconfig(self) -> Path:
        return self.folder / "kubeconfig"

    @property
    def catalog(self) -> Path:
        return self.folder / "catalog.yaml"

    def part(self, name: str) -> Part:
        return next(part for part in self.parts if part.name == name)


def environment(
    sandbox_folder: Path,
    settings: SlackSettings,
    slack_url: str,
    redis_url: str,
    port: int,
    **more: str,
) -> dict[str, str]:
    """The environment of bot and worker: no setting of Pilothouse comes from the shell that started
    the sandbox."""
    inherited = {
        k: v
        for k, v in os.environ.items()
        if not k.startswith(("PILOTHOUSE_", "SLACK_", "REDIS_", "KUBE"))
    }
    return inherited | {
        "SLACK_SIGNING_SECRET": settings.signing_secret,
        "SLACK_BOT_TOKEN": settings.bot_token,
        "SLACK_API_URL": f"{slack_url}/api/",
        "REDIS_URL": redis_url,
        "PILOTHOUSE_CONFIG": str(sandbox_folder / "catalog.yaml"),
        "PILOTHOUSE_HOST": "127.0.0.1",
        "PILOTHOUSE_PORT": str(port),
        "PYTHONUNBUFFERED": "1",
        **more,
    }


@contextlib.contextmanager
def run_sandbox(
    *,
    demo: Path = DEMO,
    ready_after: float = 1.0,
    kubeconfig: Path | None = None,
    context: str = "sandbox",
    socket_mode: bool = False,
    rate_scale: float = 1.0,
    worker: Sequence[str] = ("bot", "worker", "--processes", "2"),
    slack_options: Mapping[str, Any] | None = None,
    nodes: int = 3,
    variables: Mapping[str, str] | None = None,
    redis_variables: Mapping[str, str] | None = None,
    more_redis_rules: Sequence[str] = (),
    with_prometheus: bool = False,
    clusters: int = 1,
    launch: Launch = launch,
    is_called_off: Callable[[], bool] = lambda: False,
) -> Iterator[Sandbox]:
    """Start everything side by side; it is ready when the context is entered.

    ``kubeconfig`` names a cluster to use instead of the simulated one. ``variables`` override what
    the sandbox sets for bot and worker, ``redis_variables`` what it sets for Redis. Redis has the
    chart's users; ``more_redis_rules`` allow both of them more. ``with_prometheus``: a real one
    scrapes the simulated pods, and visitors ask them. ``clusters``: so many simulated ones, and
    hello is in each of them. If this process is killed, a
    guardian ends the parts. Raises SandboxDidNotStart, and SandboxCalledOff as soon as
    ``is_called_off`` says so.
    """
    with _started_parts(launch, is_called_off) as parts:
        shutil.copytree(demo, parts.folder, dirs_exist_ok=True)
        if kubeconfig is None:
            words = _cluster_words(parts.folder, ready_after, nodes)
            visitors = ["--traffic", str(TRAFFIC)] if with_prometheus else []
            parts.start("cluster", [*words, *visitors], os.environ)
            more_clusters = _more_clusters(parts, clusters, ready_after, nodes)
        else:
            _take_cluster(parts.folder, kubeconfig, context)
            more_clusters = ()
        port = free_port()
        bot_url = f"http://127.0.0.1:{port}"
        settings = _slack_settings(rate_scale, slack_options or {})
        users = {user: (*chart_rules(user), *more_redis_rules) for user in ("bot", "worker")}
        with (
            EmbeddedRedis(parts.folder / "redis", variables=redis_variables, users=users) as redis,
            LocalSlack(settings) as slack,
        ):
            parts.guardian.watch(redis.pid)
            if not socket_mode:
                slack.connect(f"{bot_url}/slack/events")
            more = {"SLACK_APP_TOKEN": settings.app_token} if socket_mode else {}
            more |= variables or {}
            env, of_worker = (
                environment(parts.folder, settings, slack.url, redis.url_of(user), port, **more)
                for user in users
            )
            sandbox = Sandbox(slack, redis, parts.folder, bot_url, parts.running)
            for file in (sandbox.kubeconfig, *more_clusters):
                _wait_for_file(file, parts.check)
            if with_prometheus:
                _start_prometheus(parts, sandbox)
            parts.start("bot", ["bot", "bot"], env)
            parts.start("worker", worker, of_worker)
            _wait_until_ready(sandbox, parts.check)
            _install_manifest(slack, parts, env)
            parts.check()
            try:
                yield sandbox
            finally:
                _stop(parts.running)


def _slack_settings(rate_scale: float, options: Mapping[str, Any]) -> SlackSettings:
    return SlackSettings(**{"first_commands": FIRST_COMMANDS, "rate_scale": rate_scale, **options})


@dataclass
class _Parts:
    """The processes as they are started, in a folder of their own."""

    folder: Path
    guardian: Guardian
    launch: Launch
    is_called_off: Callable[[], bool]
    running: list[Part] = field(default_factory=list)

    def start(self, name: str, words: Sequence[str], env: Mapping[str, str]) -> None:
        log = self.folder / f"{name}.log"
        with log.open("ab") as file:
            process = self.launch(words, environment=env, output=file)
        self.running.append(Part(name, process, log, env))
        self.guardian.watch(process.pid)

    def check(self) -> None:
        if self.is_called_off():
            raise SandboxCalledOff
        for part in self.running:
            part.check()


@contextlib.contextmanager
def _started_parts(launch: Launch, is_called_off: Callable[[], bool]) -> Iterator[_Parts]:
    """Stops what was started, and removes the folder, at the end."""
    folder = Path(tempfile.mkdtemp(prefix="pilothouse-sandbox-"))
    parts = _Parts(folder, Guardian(remove_folder=folder), launch, is_called_off)
    try:
        yield parts
    finally:
        _stop(parts.running)
        shutil.rmtree(folder, ignore_errors=True)
        parts.guardian.dismiss()


def _more_clusters(
    parts: _Parts, clusters: int, ready_after: float, nodes: int
) -> tuple[Path, ...]:
    """Their kubeconfigs, which the catalog names."""
    names = tuple(MORE_CLUSTERS)[: clusters - 1]
    if not names:
        return ()
    catalog = parts.folder / "catalog.yaml"
    text = yaml.safe_load(catalog.read_text(encoding="utf-8"))
    text["clusters"]["local"]["labels"] = {"region": "eu"}
    for name in names:
        words = _cluster_words(parts.folder, ready_after, nodes, f"kubeconfig-{name}")
        parts.start(f"cluster-{name}", words, os.environ)
        text["clusters"][name] = {
            "kubeconfig": f"./kubeconfig-{name}",
            "context": "sandbox",
            "labels": {"region": MORE_CLUSTERS[name]},
        }
    hello = text["apps"]["hello"]
    del hello["cluster"]
    hello["clusters"] = ["local", *names]
    catalog.write_text(yaml.safe_dump(text, sort_keys=False), encoding="utf-8")
    return tuple(parts.folder / f"kubeconfig-{name}" for name in names)


def _cluster_words(
    folder: Path, ready_after: float, nodes: int, kubeconfig_name: str = "kubeconfig"
) -> list[str]:
    """The command of a simulated cluster, seeded with the manifests of the demo."""
    manifests = sorted((folder / "manifests").glob("*.yaml"))
    seeds = [word for path in manifests for word in ("--seed", str(path))]
    kubeconfig = ["--kubeconfig", str(folder / kubeconfig_name)]
    options = ["--ready-after", str(ready_after), "--nodes", str(nodes)]
    return ["sandbox.cluster", *kubeconfig, *options, *seeds]


def _start_prometheus(parts: _Parts, sandbox: Sandbox) -> None:
    port = free_port()
    words = ["sandbox.prometheus", "--kubeconfig", str(sandbox.kubeconfig), "--port", str(port)]
    parts.start("prometheus", words, os.environ)
    text = sandbox.catalog.read_text(encoding="utf-8")
    sandbox.catalog.write_text(with_address(text, f"http://127.0.0.1:{port}"), encoding="utf-8")


def _take_cluster(folder: Path, kubeconfig: Path, context: str) -> None:
    """Uses the cluster of a kubeconfig, through one of its contexts."""
    shutil.copy(kubeconfig, folder / "kubeconfig")
    catalog = folder / "catalog.yaml"
    text = catalog.read_text(encoding="utf-8")
    text = text.replace("context: sandbox", f"context: {context}")
    catalog.write_text(text, encoding="utf-8")


def _wait_for_file(path: Path, check: Callable[[], None]) -> None:
    ends = time.monotonic() + START_WITHIN_S
    while not path.exists():
        check()
        if time.monotonic() > ends:
            raise SandboxDidNotStart(f"the cluster did not start within {START_WITHIN_S:.0f} s")
        time.sleep(0.02)


def _wait_until_ready(sandbox: Sandbox, check: Callable[[], None]) -> None:
    ends = time.monotonic() + START_WITHIN_S
    with httpx.Client(timeout=1.0) as client:
        while True:
            check()
            with contextlib.suppress(httpx.HTTPError):
                if client.get(f"{sandbox.bot_url}/readyz").status_code == 200:
                    return
            if time.monotonic() > ends:
                raise SandboxDidNotStart(
                    f"the bot did not answer within {START_WITHIN_S:.0f}"
                    f" s:\n{tail(sandbox.part('bot').log)}"
                )
            time.sleep(0.05)


def _install_manifest(slack: LocalSlack, parts: _Parts, env: Mapping[str, str]) -> None:
    """Installs the output of `pilothouse manifest`, as an administrator would: it defines the
    commands Slack knows."""
    words = ["bot", "manifest", "--commands", "all"]
    printed, refused = parts.folder / "manifest.json", parts.folder / "manifest.log"
    with printed.open("wb") as output, refused.open("wb") as errors:
        process = parts.launch(words, environment=env, output=output, errors=errors)
    if process.wait() != 0:
        raise SandboxDidNotStart(f"the app manifest could not be made: {tail(refused)}")
    slack.install(printed.read_text(encoding="utf-8"))


def _stop(parts: list[Part]) -> None:
    for part in reversed(parts):
        if part.process.poll() is None:
            part.process.send_signal(signal.SIGTERM)
    ends = time.monotonic() + STOP_WITHIN_S
    for part in reversed(parts):
        try:
            part.process.wait(max(0.1, ends - time.monotonic()))
        except subprocess.TimeoutExpired:
            os.killpg(part.process.pid, signal.SIGKILL)
            part.process.wait()


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="pilothouse sandbox", description="Try Pilothouse on this machine; Ctrl-C ends it."
    )
    parser.add_argument(
        "--cluster",
        default="simulated",
        choices=("simulated", "control-plane"),
        help="default: simulated",
    )
    parser.add_argument(
        "--kubeconfig", type=Path, help="a cluster of yours, named explicitly, instead"
    )
    parser.add_argument("--context", default="", help="the context in that kubeconfig")
    parser.add_argument(
        "--demo",
        type=Path,
        default=DEMO,
        help="a folder with catalog.yaml and manifests/ instead of the three demo apps",
    )
    parser.add_argument(
        "--ready-after",
        type=float,
        default=1.0,
        help="seconds until a simulated pod is ready (default 1)",
    )
    parser.add_argument(
        "--socket-mode",
        action="store_true",
        help="let the bot connect by Socket Mode instead of HTTP",
    )
    parser.add_argument(
        "--prometheus",
        action="store_true",
        help="a real Prometheus scrapes the pods, and hello is judged by metrics",
    )
    parser.add_argument(
        "--clusters",
        type=int,
        default=1,
        choices=range(1, len(MORE_CLUSTERS) + 2),
        help="so many simulated clusters, with hello in each of them (default 1)",
    )
    options = parser.parse_args(argv)
    if options.clusters > 1 and (options.kubeconfig or options.cluster != "simulated"):
        parser.error("--clusters is for simulated clusters")
    if options.prometheus and (options.kubeconfig or options.cluster != "simulated"):
        parser.error("--prometheus is for the simulated cluster, whose pods answer")
    if options.prometheus and find_prometheus() is None:
        parser.error(MISSING)
    if not (options.demo / "catalog.yaml").is_file():
        parser.error(f"there is no catalog.yaml in {options.demo}")
    # SIGHUP: the terminal was closed. A second Ctrl-C does not disturb the ending.
    stop = StopSignal().on_signals(signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    print("Starting Redis, a cluster, a local Slack, the bot and a worker…", flush=True)
    began = time.monotonic()
    try:
        with (
            _cluster(options) as (kubeconfig, check_cluster),
            _demo(options) as demo,
            run_sandbox(
                demo=demo,
                ready_after=options.ready_after,
                kubeconfig=kubeconfig,
                context=options.context if options.kubeconfig else "sandbox",
                socket_mode=options.socket_mode,
                with_prometheus=options.prometheus,
                clusters=options.clusters,
                is_called_off=stop,
            ) as sandbox,
        ):
            print(
                f"\n  Open {sandbox.url}   (ready after {time.monotonic() - began:.1f} s)\n",
                flush=True,
            )
            print(
                f"  Type /deploy hello 2.0.0 there. kubectl: --kubeconfig {sandbox.kubeconfig}",
                flush=True,
            )
            print(
                f"  In a terminal: REDIS_URL={sandbox.redis.url}"
                f" PILOTHOUSE_CONFIG={sandbox.folder}/catalog.yaml .venv/bin/pilothouse releases"
                " --watch   (one release: release ID --watch or --compare)",
                flush=True,
            )
            print(f"  Logs: {sandbox.folder}/*.log   Ctrl-C ends everything.\n", flush=True)
            while not stop.wait(0.5):
                for part in sandbox.parts:
                    part.check()
                check_cluster()
            print("Ending…", flush=True)
    except SandboxCalledOff:
        print("Ended before it was ready.", flush=True)
    except SandboxDidNotStart as failure:
        # Ctrl-C in a terminal also reaches what builds and fills the real control plane.
        if not stop():
            print(failure, file=sys.stderr)
            return 1
        print("Ended before it was ready.", flush=True)
    return 0


@contextlib.contextmanager
def _demo(options: argparse.Namespace) -> Iterator[Path]:
    """The demo folder, without probes on KWOK's nodes: their pods answer no HTTP."""
    if options.prometheus:
        with _changed_demo(options.demo, with_judge) as demo:
            yield demo
        return
    if options.cluster != "control-plane" or options.kubeconfig is not None:
        yield options.demo
        return

    def without_probes(text: str) -> str:
        return re.sub(r"^ *probe: .*\n", "", text, flags=re.MULTILINE)

    with _changed_demo(options.demo, without_probes) as demo:
        yield demo


@contextlib.contextmanager
def _changed_demo(demo: Path, change: Callable[[str], str]) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="pilothouse-demo-") as folder:
        copied = Path(shutil.copytree(demo, folder, dirs_exist_ok=True))
        catalog = copied / "catalog.yaml"
        catalog.write_text(change(catalog.read_text(encoding="utf-8")), encoding="utf-8")
        yield copied


@contextlib.contextmanager
def _cluster(options: argparse.Namespace) -> Iterator[tuple[Path | None, Callable[[], None]]]:
    """The kubeconfig of a cluster other than the simulated one, and a check that it still runs."""
    if options.kubeconfig is not None:
        yield options.kubeconfig, lambda: None
    elif options.cluster == "control-plane":
        from sandbox.control_plane import BinariesMissing, ControlPlane, ControlPlaneFailed

        try:
            with ControlPlane() as control_plane:
                for path in sorted((options.demo / "manifests").glob("*.yaml")):
                    control_plane.kubectl("apply", "-f", str(path))
                yield Path(control_plane.kubeconfig), control_plane.check
        except (BinariesMissing, ControlPlaneFailed) as failure:
            raise SandboxDidNotStart(str(failure)) from failure
    else:
        yield None, lambda: None


if __name__ == "__main__":
    sys.exit(main())
