"""`python -m tests.real_node.film`: from `helm install` to the first release, as text."""

from __future__ import annotations

import re
import tempfile
import time
from pathlib import Path

from sandbox.images import Images
from sandbox.real_node import RealNodes
from tests.real_cluster import CHART
from tests.real_node.installation import RELEASE, Installation, apply_app

APP = "hello"


class Film:
    """Prints what a person types and sees, each with the seconds since the first line."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    def typed(self, line: str) -> None:
        print(f"{time.monotonic() - self._began:5.1f} s  $ {line}", flush=True)

    def seen(self, text: str, most: int = 12) -> None:
        for line in text.strip().splitlines()[:most]:
            print(f"           {line}".rstrip(), flush=True)


def main() -> None:
    with (
        RealNodes(images=Images().built()) as nodes,
        tempfile.TemporaryDirectory() as folder,
        Installation(nodes, Path(folder), APP, namespace="pilothouse") as installed,
    ):
        apply_app(nodes, APP, 2)
        film = Film()
        film.typed(f"helm install {RELEASE} helm/{CHART.name} -n pilothouse -f values.yaml --wait")
        installed.install()
        film.typed("kubectl -n pilothouse get pods")
        film.seen(installed.kubectl("get", "pods"))
        film.typed("kubectl -n pilothouse exec deploy/pilothouse-worker -- pilothouse doctor")
        film.seen(installed.run("worker", "doctor"), most=40)
        film.typed(f"/deploy {APP} 2.0.0")
        installed.slack.command("U0DEV1", "C0RELEASES", f"/deploy {APP} 2.0.0")
        done = re.compile(rf"{APP} is on 2\.0\.0")
        installed.slack.wait_for(lambda: done.search(_texts(installed)), 60, "the release")
        film.seen(_texts(installed), most=40)
        film.typed("kubectl get deployment hello -o wide")
        film.seen(nodes.kubectl("get", "deployment", APP, "--output=wide"))


def _texts(installed: Installation) -> str:
    found = installed.slack.messages("C0RELEASES", "U0DEV1", about=APP)
    return "\n".join(message["text"] for message in found)


if __name__ == "__main__":
    main()
