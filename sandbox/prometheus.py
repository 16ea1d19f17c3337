"""A real Prometheus beside the sandbox, where one is installed: it scrapes the pods of a cluster
through its API server."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

import yaml

SCRAPE_S = 1.0
TRAFFIC = 100.0
MISSING = "no `prometheus` is installed: Debian's package has it (apt-get install prometheus)"


def find_prometheus() -> str | None:
    return shutil.which("prometheus")


def write_configuration(folder: Path, kubeconfig: Path) -> Path:
    """Debian's build knows no Kubernetes: the simulated cluster lists its pods as targets."""
    context = yaml.safe_load(kubeconfig.read_text(encoding="utf-8"))
    server = context["clusters"][0]["cluster"]["server"]
    admitted = {"credentials": context["users"][0]["user"]["token"]}
    each = f"{round(SCRAPE_S * 1000)}ms"
    job = {
        "job_name": "pods",
        "scrape_interval": each,
        "scrape_timeout": each,
        "scheme": urlsplit(server).scheme,
        "authorization": admitted,
        "http_sd_configs": [
            {
                "url": f"{server}/_sandbox/targets",
                "refresh_interval": each,
                "authorization": admitted,
            }
        ],
    }
    path = folder / "prometheus.yaml"
    path.touch(0o600)
    path.write_text(yaml.safe_dump({"scrape_configs": [job]}), encoding="utf-8")
    return path


def with_address(catalog: str, url: str) -> str:
    """The catalog, whose clusters have this Prometheus."""
    content = yaml.safe_load(catalog)
    for cluster in content["clusters"].values():
        cluster["prometheus"] = {"url": url}
    return str(yaml.safe_dump(content, sort_keys=False))


def with_judge(catalog: str) -> str:
    """The demo's catalog, whose hello is judged by metrics: in holds in which the demo's traffic
    suffices."""
    content = yaml.safe_load(catalog)
    hello = content["apps"]["hello"]
    latency = {"slower_than": "500ms"}
    hello["judge"] = {"preset": "prometheus", "latency": latency, "worse_by": "5%", "extend": "30s"}
    hello["canary"]["hold"] = "30s"
    return str(yaml.safe_dump(content, sort_keys=False))


def command(program: str, folder: Path, configuration: Path, port: int) -> list[str]:
    return [
        program,
        f"--config.file={configuration}",
        f"--web.listen-address=127.0.0.1:{port}",
        f"--storage.tsdb.path={folder / 'prometheus'}",
        "--storage.tsdb.retention.time=6h",
        "--log.level=warn",
    ]


def main(argv: Sequence[str] | None = None) -> None:
    """`python -m sandbox.prometheus`: becomes the real one."""
    parser = argparse.ArgumentParser(prog="sandbox.prometheus")
    parser.add_argument("--kubeconfig", type=Path, required=True)
    parser.add_argument("--port", type=int, required=True)
    options = parser.parse_args(argv)
    program, folder = find_prometheus(), options.kubeconfig.parent
    if program is None:
        sys.exit(MISSING)
    configuration = write_configuration(folder, options.kubeconfig)
    os.execv(program, command(program, folder, configuration, options.port))


if __name__ == "__main__":
    main()
