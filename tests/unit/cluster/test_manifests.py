from __future__ import annotations

import base64
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from bot.cluster.manifests import MOST_BYTES, FileManifests
from bot.ports import Refused

MANIFEST = "apiVersion: v1\nkind: Service\nmetadata: {name: hello}\n"
Files = Mapping[str, Mapping[str, Sequence[str]]]


def load(
    folder: Path, *manifests: str, files: Files | None = None
) -> tuple[Mapping[str, Any], ...]:
    return FileManifests().load(str(folder), manifests, files or {})


def refusal(folder: Path, *manifests: str, files: Files | None = None) -> str:
    with pytest.raises(Refused) as refused:
        load(folder, *manifests, files=files)
    return str(refused.value)


def test_documents_and_lists_become_objects_in_their_order(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(MANIFEST + "---\n---\n" + MANIFEST.replace("hello", "second"))
    (tmp_path / "b.yaml").write_text(
        "kind: List\napiVersion: v1\nitems:\n- {apiVersion: v1, kind: ConfigMap, metadata: {name:"
        " c}}\n"
    )
    assert [one["metadata"]["name"] for one in load(tmp_path, "a.yaml", "b.yaml")] == [
        "hello",
        "second",
        "c",
    ]


def test_nothing_outside_the_folder_is_read(tmp_path: Path) -> None:
    folder = tmp_path / "catalog"
    folder.mkdir()
    outside = tmp_path / "outside.yaml"
    outside.write_text(MANIFEST)
    (folder / "link.yaml").symlink_to(outside)
    (folder / "inside").symlink_to(tmp_path)
    assert "`..`" in refusal(folder, "../outside.yaml")
    assert "outside the catalog's folder" in refusal(folder, "link.yaml")
    assert "outside the catalog's folder" in refusal(folder, "inside/outside.yaml")
    assert "outside the catalog's folder" in refusal(folder, str(outside))
    assert "outside the catalog's folder" in refusal(
        folder, files={"secrets": {"s": ["link.yaml"]}}
    )


def test_a_link_that_stays_inside_is_followed(tmp_path: Path) -> None:
    (tmp_path / "real.yaml").write_text(MANIFEST)
    (tmp_path / "link.yaml").symlink_to(tmp_path / "real.yaml")
    assert len(load(tmp_path, "link.yaml", str(tmp_path / "real.yaml"))) == 2


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("kind: Service\nmetadata: {name: a}\n", "has no apiVersion"),
        ("apiVersion: v1\nmetadata: {name: a}\n", "has no kind"),
        ("apiVersion: v1\nkind: Service\n", "has no metadata.name"),
        (
            "apiVersion: v1\nkind: Service\nmetadata: {generateName: a-}\n",
            "generateName is not taken",
        ),
        ("- 1\n- 2\n", "is not a Kubernetes object"),
        (MANIFEST + "kind: Secret\n", "line 4 is not valid YAML: a key is given twice"),
        ("a: [1\n", "is not valid YAML"),
        ("a: !!python/object/apply:os.getcwd []\n", "is not valid YAML"),
        ("\x00", "is not valid YAML"),
    ],
)
def test_a_file_that_is_no_manifest_is_refused_with_its_name_and_place(
    tmp_path: Path, text: str, says: str
) -> None:
    (tmp_path / "bad.yaml").write_text(text)
    message = refusal(tmp_path, "bad.yaml")
    assert message.startswith("bad.yaml")
    assert says in message


@pytest.mark.parametrize(
    "line",
    [
        "password: *hunter2",
        "password: !hunter2",
        "password: &hunter2 &hunter2 x",
        "password: !!int hunter2",
        "password: !!bool hunter2",
        "password: !!float hunter2",
        "password: !!timestamp hunter2",
        "password: !!binary hunter2",
        "hunter2: 1\n  hunter2: 2",
        "password: !h!hunter2",
        'password: "\\hunter2"',
        "password: @hunter2",
        "password: [hunter2",
        "password: 'hunter2",
        "password: hunter2: hunter2",
        "password: !!python/name:hunter2 x",
        "- hunter2\n  hunter2: 3",
        "password: 0b_hunter2\n\thunter2: x",
    ],
)
def test_a_mistake_in_a_secret_never_shows_its_values(tmp_path: Path, line: str) -> None:
    (tmp_path / "bad.yaml").write_text(
        f"apiVersion: v1\nkind: Secret\nmetadata: {{name: s}}\nstringData:\n  {line}\n"
    )
    with pytest.raises(Refused) as refused:
        load(tmp_path, "bad.yaml")
    assert "hunter2" not in str(refused.value)
    assert "hunter2" not in "".join(traceback.format_exception(refused.value)), (
        "what a log would show"
    )


def test_dates_stay_text_and_keys_become_text(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(MANIFEST + "data: {when: 2026-01-01, 2: one, true: two}\n")
    (one,) = load(tmp_path, "a.yaml")
    assert one["data"] == {"when": "2026-01-01", "2": "one", "true": "two"}


def test_files_become_what_kubectl_create_from_file_makes(tmp_path: Path) -> None:
    (tmp_path / "tls").mkdir()
    (tmp_path / "tls" / "deeper").mkdir()
    (tmp_path / "tls" / "cert.pem").write_bytes(b"\xff\x00certificate")
    (tmp_path / "tls" / "key.pem").write_text("key")
    (tmp_path / "frontend.conf").write_text("server {}\n")
    secret, text, binary = load(
        tmp_path,
        files={
            "secrets": {"tls-certs": ["tls/"]},
            "configmaps": {
                "conf": ["frontend.conf", "other.conf=frontend.conf"],
                "binary": ["tls/cert.pem"],
            },
        },
    )
    assert secret == {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "tls-certs"},
        "type": "Opaque",
        "data": {
            "cert.pem": base64.b64encode(b"\xff\x00certificate").decode(),
            "key.pem": base64.b64encode(b"key").decode(),
        },
    }
    assert text["data"] == {"frontend.conf": "server {}\n", "other.conf": "server {}\n"}
    assert binary["binaryData"] == {"cert.pem": base64.b64encode(b"\xff\x00certificate").decode()}


def test_an_invalid_or_duplicate_key_is_refused(
    tmp_path: Path,
) -> None:
    (tmp_path / "a b").write_text("x")
    (tmp_path / "a").write_text("x")
    assert "not a valid key" in refusal(tmp_path, files={"configmaps": {"c": ["a b"]}})
    assert "two files have the key a" in refusal(
        tmp_path, files={"configmaps": {"c": ["a", "a=a b"]}}
    )


def test_a_file_that_is_too_large_or_missing_is_refused_without_its_content(tmp_path: Path) -> None:
    (tmp_path / "large").write_text("hush" * MOST_BYTES)
    message = refusal(tmp_path, files={"secrets": {"s": ["large"]}})
    assert "larger than 1 MiB" in message
    assert "hush" not in message
    assert "there is no such file" in refusal(tmp_path, "none.yaml")
