"""Image references: repository, tag, digest, and what VERSION means for an app.

Rule for splitting: distribution/reference: a colon after the last slash begins the tag, an at sign
the digest.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_TAG = re.compile(r"\A[\w][\w.-]{0,127}\Z", re.ASCII)
_DIGEST = re.compile(r"\Asha256:[0-9a-f]{64}\Z")


class ImageMistake(ValueError):
    """VERSION cannot be released; the message is one line for the person who typed it."""


@dataclass(frozen=True)
class Image:
    repository: str
    tag: str = ""
    digest: str = ""

    @property
    def version(self) -> str:
        """What people call it: the tag, else the digest's first twelve digits."""
        return self.tag or self.digest.removeprefix("sha256:")[:12] or "latest"


def split_image(reference: str) -> Image:
    rest, _, digest = reference.partition("@")
    head, slash, last = rest.rpartition("/")
    name, _, tag = last.partition(":")
    return Image(repository=f"{head}{slash}{name}", tag=tag, digest=digest)


def version_of(reference: str) -> str:
    return split_image(reference).version


def images_of(template: Mapping[str, Any]) -> tuple[str, ...]:
    """Of a pod template's containers, in their order."""
    containers = (template.get("spec") or {}).get("containers") or ()
    return tuple(str(one.get("image", "")) for one in containers)


def normal_repository(repository: str) -> str:
    """docker.io/library/nginx, docker.io/nginx and nginx are one repository."""
    return (
        repository.removeprefix("index.docker.io/")
        .removeprefix("docker.io/")
        .removeprefix("library/")
    )


def resolve_image(version: str, *, running: str, allowed: Sequence[str]) -> str:
    """The full reference that VERSION (tag, digest or full image) names. Raises ImageMistake.

    ``running`` is the image of the app's container now: its repository serves when only a tag or
    digest is given.
    """
    repositories = tuple(allowed) or (split_image(running).repository,)
    now = split_image(running).repository
    repository = (
        now
        if normal_repository(now) in {normal_repository(name) for name in repositories}
        else repositories[0]
    )
    if _DIGEST.match(version):
        return f"{repository}@{version}"
    if "/" not in version and ":" not in version and "@" not in version:
        if not _TAG.match(version):
            raise ImageMistake(
                f"`{version}` is not a version. Use a tag such as 2.0.0, a digest, or a full image."
            )
        return f"{repository}:{version}"
    image = split_image(version)
    if image.digest and not _DIGEST.match(image.digest):
        raise ImageMistake(
            f"`{image.digest}` is not a digest. Write sha256: and 64 hexadecimal digits."
        )
    if image.tag and not _TAG.match(image.tag):
        raise ImageMistake(f"`{image.tag}` is not a tag. Use one such as 2.0.0.")
    if not image.tag and not image.digest:
        raise ImageMistake(f"`{version}` names no version. Write {version}:TAG.")
    if normal_repository(image.repository) not in {
        normal_repository(name) for name in repositories
    }:
        raise ImageMistake(
            f"Images of `{image.repository}` are not allowed here. Allowed:"
            f" {', '.join(repositories)}."
        )
    return version
