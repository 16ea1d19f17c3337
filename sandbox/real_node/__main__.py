"""`python -m sandbox.real_node build | run`: a cluster of real nodes by hand."""

from __future__ import annotations

import argparse
import os
import sys

from bot.stop_signal import StopSignal
from sandbox.control_plane import BinariesMissing, ControlPlaneFailed
from sandbox.control_plane.binaries import BUILD as CONTROL_PLANE
from sandbox.go_build import build_or_skip
from sandbox.real_node.binaries import BUILDS
from sandbox.real_node.launcher import RealNodes
from sandbox.real_node.machine import MachineUnfit, check_compiler, check_machine


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m sandbox.real_node", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    building = commands.add_parser(
        "build", help="build the programs into the cache, unless they are there"
    )
    building.add_argument(
        "--or-skip",
        action="store_true",
        help="where it cannot be built or run, say so and succeed (but never with CI=true)",
    )
    running = commands.add_parser("run", help="run a cluster of real nodes until Ctrl-C")
    running.add_argument("--nodes", type=int, default=2)
    arguments = parser.parse_args()
    try:
        if arguments.command == "build":
            return build(or_skip=arguments.or_skip)
        return run(arguments.nodes)
    except (BinariesMissing, ControlPlaneFailed, MachineUnfit) as failure:
        print(failure, file=sys.stderr)
        return 1


def build(*, or_skip: bool) -> int:
    try:
        check_machine()
        check_compiler()
    except MachineUnfit as unfit:
        if not or_skip or os.environ.get("CI") == "true":
            raise
        print(f"SKIPPED: a real node cannot run here: {unfit}", file=sys.stderr)
        return 0
    return build_or_skip((CONTROL_PLANE, *BUILDS), or_skip=or_skip)


def run(nodes: int) -> int:
    stop = StopSignal().on_signals()
    with RealNodes(nodes=nodes) as cluster:
        print(f"The cluster answers at {cluster.url}. Ctrl-C ends it.")
        print(f"  export KUBECONFIG={cluster.kubeconfig} PATH={cluster.binaries}:$PATH")
        network = " ".join(map(str, cluster.in_network()))
        print(f"  {network} curl ... reaches its pods and Services.", flush=True)
        while not stop.wait(0.5):
            cluster.check()
    return 0


if __name__ == "__main__":
    sys.exit(main())
