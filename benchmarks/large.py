"""A rolling release of 100 and of 300 pods, from the typed command to "is on", beside a plain patch
of the same Deployment, watched as `kubectl rollout status` does."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import yaml

from benchmarks import rolling
from benchmarks.rows import Row, percentile
from benchmarks.waiting import until_pods_are_ready
from sandbox.main import DEMO, run_sandbox

SIZES, ROUNDS = (100, 300), 2
READY_AFTER_S = 2.0
MOST = 1.15


def _demo(folder: Path, replicas: int) -> Path:
    demo = Path(shutil.copytree(DEMO, folder / "demo"))
    catalog = yaml.safe_load((demo / "catalog.yaml").read_text(encoding="utf-8"))
    catalog["apps"] = {"hello": catalog["apps"]["hello"]}
    (demo / "catalog.yaml").write_text(yaml.safe_dump(catalog), encoding="utf-8")
    for path in (demo / "manifests").glob("*.yaml"):
        text = path.read_text(encoding="utf-8")
        if path.stem == "hello":
            path.write_text(text.replace("replicas: 5", f"replicas: {replicas}"), encoding="utf-8")
        else:
            path.unlink()
    return demo


def run() -> list[Row]:
    return [_row(replicas) for replicas in SIZES]


def _row(replicas: int) -> Row:
    nodes = replicas // 30
    with (
        tempfile.TemporaryDirectory() as folder,
        run_sandbox(
            demo=_demo(Path(folder), replicas),
            ready_after=READY_AFTER_S,
            rate_scale=0,
            nodes=nodes,
        ) as sandbox,
    ):
        until_pods_are_ready(sandbox, apps=1, replicas=replicas)
        ours, theirs = [], []
        for number in range(ROUNDS):
            theirs.append(rolling.by_client(sandbox, f"1.{number}.1"))
            ours.append(rolling.by_release(sandbox, f"2.{number}.0").done_s)
    mine, base = percentile(ours, 0.5), percentile(theirs, 0.5)
    settings = f"ready after {READY_AFTER_S} s, {nodes} nodes, {ROUNDS} rounds, the shorter"
    what = f"rolling release of {replicas} pods"
    return Row(what, "s", mine, f"<= {MOST}x", mine <= MOST * base, base, settings)
