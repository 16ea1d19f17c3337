"""The registry that the pods of a real node pull from:
`python -I registry.py HOST:PORT FOLDER [LAYOUT]`.

It speaks the pull half of the OCI distribution API. Any repository holds the demo app in any tag,
and words in the tag choose what it does: the same words as on the other clusters of the sandbox.
`pilothouse/pause` is the container that holds a pod's network. What the OCI layout holds comes
from there, as `NAME:TAG`.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import platform
import re
import sys
import tarfile
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

OCI = "application/vnd.oci.image."
MANIFEST = OCI + "manifest.v1+json"
REFERENCE = "org.opencontainers.image.ref.name"
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
# The first word that the tag holds is the one that counts.
ENVIRONMENTS = {
    "late-crash": ("CRASH=after=8",),
    "crash": ("CRASH=start",),
    "oom": ("MEMORY=4096",),
    "unready": ("READY_AFTER=1000000",),
    "slow": ("READY_AFTER=6",),
    "sick": ("ERRORS=100",),
    "late": ("DELAY=1500",),
}
FAILS = re.compile(r"fails-(\d+)")
NOBODY = "65534"


@dataclass(frozen=True)
class Refusal:
    """A reply with an error, as the distribution API spells it."""

    status: int
    code: str
    message: str


MISSING = Refusal(404, "MANIFEST_UNKNOWN", "manifest unknown")
DENIED = Refusal(401, "UNAUTHORIZED", "authentication required")


class Layout:
    """A folder of images as `buildah push IMAGE oci:FOLDER:NAME:TAG` writes it."""

    def __init__(self, folder: Path) -> None:
        self._blobs = folder / "blobs" / "sha256"
        index = json.loads((folder / "index.json").read_bytes())
        self._digests = {
            one["annotations"][REFERENCE]: str(one["digest"]) for one in index["manifests"]
        }

    def digest(self, name: str) -> str | None:
        return self._digests.get(name)

    def blob(self, digest: str) -> bytes | None:
        path = self._blobs / digest.removeprefix("sha256:")
        return path.read_bytes() if path.is_file() else None


class Images:
    """Images from scratch, one layer with one static program, and those of a layout."""

    def __init__(self, programs: Path, layout: Layout | None = None) -> None:
        self._layout = layout
        self.blobs: dict[str, bytes] = {}
        self._layers = {name: self._layer(programs / name) for name in ("hello", "pause")}

    def manifest(self, repository: str, reference: str) -> bytes | Refusal:
        if reference.startswith("sha256:"):
            return self.blob(reference)
        if self._layout is not None:
            # A name without a folder is one of Docker Hub's `library`.
            digest = self._layout.digest(f"{repository.removeprefix('library/')}:{reference}")
            if digest is not None:
                return self.blob(digest)
        if "missing" in reference:
            return MISSING
        if "denied" in reference:
            return DENIED
        layer, content = self._layers["pause" if repository.endswith("/pause") else "hello"]
        config = {
            "architecture": ARCHITECTURES.get(platform.machine(), platform.machine()),
            "os": "linux",
            "config": {
                "Entrypoint": ["/app"],
                "Env": _environment(repository, reference),
                "User": NOBODY,
            },
            "rootfs": {"type": "layers", "diff_ids": [content]},
        }
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": self._described(json.dumps(config).encode(), OCI + "config.v1+json"),
            "layers": [layer],
        }
        body = json.dumps(manifest).encode()
        self._described(body, MANIFEST)
        return body

    def blob(self, digest: str) -> bytes | Refusal:
        found = self.blobs.get(digest)
        if found is None and self._layout is not None:
            found = self._layout.blob(digest)
        return MISSING if found is None else found

    def _layer(self, program: Path) -> tuple[dict[str, object], str]:
        """The descriptor of the compressed layer, and the digest of what is in it."""
        plain = io.BytesIO()
        with tarfile.open(fileobj=plain, mode="w") as tar:
            entry = tarfile.TarInfo("app")
            entry.size, entry.mode = program.stat().st_size, 0o755
            with program.open("rb") as content:
                tar.addfile(entry, content)
        layer = gzip.compress(plain.getvalue(), 1, mtime=0)
        return self._described(layer, OCI + "layer.v1.tar+gzip"), digest_of(plain.getvalue())

    def _described(self, blob: bytes, kind: str) -> dict[str, object]:
        self.blobs[digest_of(blob)] = blob
        return {"mediaType": kind, "digest": digest_of(blob), "size": len(blob)}


def digest_of(blob: bytes) -> str:
    return "sha256:" + hashlib.sha256(blob).hexdigest()


def _environment(repository: str, tag: str) -> list[str]:
    word = next((word for word in ENVIRONMENTS if word in tag), None)
    fails = FAILS.search(tag)
    return [
        f"NAME={repository.rpartition('/')[2]}",
        f"VERSION={tag}",
        *(ENVIRONMENTS[word] if word else ()),
        *([f"ERRORS={fails[1]}"] if fails else ()),
    ]


class Registry(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    images: Images

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/v2/":
            self._send(200, b"{}", "application/json")
            return
        repository, kind, reference = ["", *path.removeprefix("/v2/").rsplit("/", 2)][-3:]
        if kind == "manifests":
            found = self.images.manifest(repository, reference)
        else:
            found = self.images.blob(reference)
        if isinstance(found, Refusal):
            error = {"errors": [{"code": found.code, "message": found.message}]}
            self._send(found.status, json.dumps(error).encode(), "application/json")
        else:
            is_manifest = kind == "manifests"
            self._send(200, found, MANIFEST if is_manifest else "application/octet-stream")

    def do_HEAD(self) -> None:
        self.do_GET()

    def _send(self, status: int, body: bytes, kind: str) -> None:
        self.send_response(status)
        if status == DENIED.status:
            self.send_header("WWW-Authenticate", 'Basic realm="private"')
        if status == 200:
            self.send_header("Docker-Content-Digest", digest_of(body))
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


if __name__ == "__main__":
    host, _, port = sys.argv[1].rpartition(":")
    layout = Layout(Path(sys.argv[3])) if len(sys.argv) > 3 else None
    Registry.images = Images(Path(sys.argv[2]), layout)
    ThreadingHTTPServer((host, int(port)), Registry).serve_forever()
