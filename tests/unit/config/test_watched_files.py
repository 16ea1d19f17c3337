"""A change of files is reported once, when it is whole."""

from __future__ import annotations

import os
from pathlib import Path

from config.catalog import load_catalog
from config.watched_files import WatchedFiles


def publish(volume: Path, version: str, **files: str) -> None:
    """As a kubelet does: a new folder, one link exchanged, the old folder removed."""
    folder = volume / f"..{version}"
    folder.mkdir(parents=True)
    for name, text in files.items():
        (folder / name.replace("_", ".")).write_text(text)
        if not (volume / name.replace("_", ".")).is_symlink():
            (volume / name.replace("_", ".")).symlink_to(f"..data/{name.replace('_', '.')}")
    before = (volume / "..data").readlink() if (volume / "..data").is_symlink() else None
    (volume / "..data_tmp").symlink_to(folder.name)
    os.replace(volume / "..data_tmp", volume / "..data")
    if before is not None:
        for file in (volume / before).iterdir():
            file.unlink()
        (volume / before).rmdir()


def test_a_change_is_reported_once_it_has_settled(tmp_path: Path) -> None:
    file = tmp_path / "catalog.yaml"
    file.write_text("one")
    watched = WatchedFiles([file])
    assert not watched.have_changed()
    file.write_text("half")
    assert not watched.have_changed()
    file.write_text("the whole")
    assert not watched.have_changed()
    assert watched.have_changed()
    assert not watched.have_changed()
    assert watched.changed_at == file.stat().st_mtime_ns / 1e9


def test_a_file_that_comes_or_goes_is_a_change(tmp_path: Path) -> None:
    file = tmp_path / "token"
    watched = WatchedFiles([file])
    file.write_text("xoxb-1")
    assert [watched.have_changed(), watched.have_changed()] == [False, True]
    file.unlink()
    assert [watched.have_changed(), watched.have_changed()] == [False, True]


def test_an_exchanged_volume_is_a_change(tmp_path: Path) -> None:
    publish(tmp_path, "1", catalog_yaml="one")
    watched = WatchedFiles([tmp_path / "catalog.yaml"])
    publish(tmp_path, "2", catalog_yaml="two")
    assert [watched.have_changed(), watched.have_changed()] == [False, True]


def test_the_folder_of_a_catalog_stays_when_its_volume_is_exchanged(tmp_path: Path) -> None:
    text = "clusters: {local: {in_cluster: true}}\napps: {hello: {manifests: [hello.yaml]}}\n"
    publish(tmp_path, "1", catalog_yaml=text, hello_yaml="one")
    catalog = load_catalog(tmp_path / "catalog.yaml")
    publish(tmp_path, "2", catalog_yaml=text, hello_yaml="two")
    assert catalog.path("hello.yaml").read_text() == "two"
