"""The registry of the real nodes: the pull half of the distribution API."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from sandbox.real_node.registry import REFERENCE, Images, Layout, Refusal, Registry, digest_of


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[str]:
    for name in ("hello", "pause"):
        (tmp_path / name).write_bytes(f"the program {name}".encode())

    class Own(Registry):
        images = Images(tmp_path)

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Own) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/v2/"
        server.shutdown()


def fetch(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=10) as answer:
        content: bytes = answer.read()
        assert answer.headers["Docker-Content-Digest"] in (None, digest_of(content))
        return content


def settings_of(registry: str, reference: str) -> list[str]:
    manifest = json.loads(fetch(f"{registry}pilothouse/hello/manifests/{reference}"))
    config = json.loads(fetch(f"{registry}pilothouse/hello/blobs/{manifest['config']['digest']}"))
    environment: list[str] = config["config"]["Env"]
    return environment


@pytest.mark.parametrize(
    ("tag", "settings"),
    [
        ("2.0.0", []),
        ("2.0.0-crash", ["CRASH=start"]),
        ("late-crash", ["CRASH=after=8"]),
        ("slow", ["READY_AFTER=6"]),
        ("sick", ["ERRORS=100"]),
        ("2.0.0-fails-20", ["ERRORS=20"]),
        ("late", ["DELAY=1500"]),
    ],
)
def test_a_word_in_the_tag_chooses_what_the_app_does(
    registry: str, tag: str, settings: list[str]
) -> None:
    assert settings_of(registry, tag) == ["NAME=hello", f"VERSION={tag}", *settings]


def test_the_layer_holds_the_program_and_matches_its_digests(registry: str) -> None:
    manifest = json.loads(fetch(f"{registry}pilothouse/pause/manifests/1"))
    layer = fetch(f"{registry}pilothouse/pause/blobs/{manifest['layers'][0]['digest']}")
    config = json.loads(fetch(f"{registry}pilothouse/pause/blobs/{manifest['config']['digest']}"))
    assert len(layer) == manifest["layers"][0]["size"]
    assert config["rootfs"]["diff_ids"] == [digest_of(gzip.decompress(layer))]
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(layer))) as tar:
        program = tar.extractfile("app")
        assert program is not None
        assert program.read() == b"the program pause"


def test_a_manifest_is_found_by_its_digest_too(registry: str) -> None:
    body = fetch(f"{registry}pilothouse/hello/manifests/1.0.0")
    assert fetch(f"{registry}pilothouse/hello/manifests/{digest_of(body)}") == body


@pytest.mark.parametrize(
    ("tag", "status", "code"),
    [("2.0.0-missing", 404, "MANIFEST_UNKNOWN"), ("denied", 401, "UNAUTHORIZED")],
)
def test_a_refusal_has_the_code_of_the_distribution_api(
    registry: str, tag: str, status: int, code: str
) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        fetch(f"{registry}pilothouse/hello/manifests/{tag}")
    with refused.value as reply:
        assert reply.code == status
        assert json.loads(reply.read())["errors"][0]["code"] == code


def test_an_image_of_a_layout_is_found_by_name_and_its_blobs_by_digest(tmp_path: Path) -> None:
    for name in ("hello", "pause"):
        (tmp_path / name).write_bytes(b"a program")
    blobs = tmp_path / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    digest = digest_of(b"the manifest")
    (blobs / digest.removeprefix("sha256:")).write_bytes(b"the manifest")
    entry = {"digest": digest, "annotations": {REFERENCE: "pilothouse:0.1.0"}}
    (tmp_path / "index.json").write_text(json.dumps({"manifests": [entry]}))
    images = Images(tmp_path, Layout(tmp_path))
    assert images.manifest("library/pilothouse", "0.1.0") == b"the manifest"
    assert images.manifest("library/pilothouse", digest) == b"the manifest"
    assert images.blob(digest) == b"the manifest"
    assert isinstance(images.blob("sha256:0"), Refusal)
