"""`python -m sandbox.cluster`: a simulated cluster as a process of its own, until a signal stops
it."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
import sys
from pathlib import Path

import yaml

from sandbox.cluster.core import Cluster, ClusterSettings
from sandbox.cluster.simulation import kubeconfig_text


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="sandbox.cluster", description="A simulated Kubernetes cluster on loopback."
    )
    parser.add_argument("--port", type=int, default=0, help="0: chosen by the system")
    parser.add_argument("--kubeconfig", type=Path, help="file to write, removed at the end")
    parser.add_argument(
        "--ready-after", type=float, default=0.3, help="seconds until a pod is ready"
    )
    parser.add_argument("--jitter", type=float, default=0.0, help="seconds more or less of that")
    parser.add_argument("--stop-after", type=float, default=0.1, help="seconds a pod takes to end")
    parser.add_argument(
        "--back-off",
        type=float,
        default=10.0,
        help="seconds before the first restart or second pull",
    )
    parser.add_argument("--nodes", type=int, default=3)
    parser.add_argument(
        "--traffic", type=float, default=0.0, help="requests a second to each Service"
    )
    parser.add_argument(
        "--tls", action="store_true", help="serve HTTPS, so that kubectl sends its token"
    )
    parser.add_argument(
        "--seed", type=Path, action="append", default=[], help="YAML file of objects to begin with"
    )
    return parser


async def _serve(arguments: argparse.Namespace) -> None:
    settings = ClusterSettings(
        ready_after=arguments.ready_after,
        jitter=arguments.jitter,
        stop_after=arguments.stop_after,
        back_off=arguments.back_off,
        nodes=arguments.nodes,
        port=arguments.port,
        tls=arguments.tls,
        traffic=arguments.traffic,
    )
    cluster = Cluster(settings)
    await cluster.start()
    for path in arguments.seed:
        with path.open(encoding="utf-8") as file:
            cluster.seed(item for item in yaml.safe_load_all(file) if item)
    if arguments.kubeconfig is not None:
        temporary = arguments.kubeconfig.with_suffix(".new")
        temporary.write_text(kubeconfig_text(cluster.url), encoding="utf-8")
        temporary.chmod(0o600)
        os.replace(temporary, arguments.kubeconfig)
    print(cluster.url, flush=True)
    finish = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, finish.set)
    await finish.wait()
    await cluster.stop()
    if arguments.kubeconfig is not None:
        with contextlib.suppress(FileNotFoundError):
            arguments.kubeconfig.unlink()


def main(argv: list[str] | None = None) -> int:
    arguments = _parser().parse_args(argv)
    try:
        asyncio.run(_serve(arguments))
    except OSError as error:
        print(f"the simulated cluster cannot start: {error.strerror or error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
