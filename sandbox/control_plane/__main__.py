"""`python -m sandbox.control_plane build | run`: the control plane by hand."""

from __future__ import annotations

import argparse
import sys

from bot.stop_signal import StopSignal
from sandbox.control_plane.binaries import BUILD, BinariesMissing
from sandbox.control_plane.launcher import ControlPlane, ControlPlaneFailed
from sandbox.go_build import build_or_skip


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m sandbox.control_plane", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    building = commands.add_parser(
        "build", help="build the binaries into the cache, unless they are there"
    )
    building.add_argument(
        "--or-skip",
        action="store_true",
        help="where it cannot be built, say so and succeed (but never with CI=true)",
    )
    running = commands.add_parser("run", help="run a control plane until Ctrl-C")
    running.add_argument("--nodes", type=int, default=3)
    commands.add_parser("where", help="print the folder of the binaries")
    arguments = parser.parse_args()
    if arguments.command == "where":
        print(BUILD.folder())
        return 0
    if arguments.command == "build":
        return build_or_skip((BUILD,), or_skip=arguments.or_skip)
    try:
        return run(arguments.nodes)
    except (BinariesMissing, ControlPlaneFailed) as failure:
        print(failure, file=sys.stderr)
        return 1


def run(nodes: int) -> int:
    stop = StopSignal().on_signals()
    with ControlPlane(nodes=nodes) as cluster:
        print(f"The control plane answers at {cluster.url}. Ctrl-C ends it.")
        print(f"  export KUBECONFIG={cluster.kubeconfig} PATH={cluster.binaries}:$PATH", flush=True)
        while not stop.wait(0.5):
            cluster.check()
    return 0


if __name__ == "__main__":
    sys.exit(main())
