"""What VERSION means for an app."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.releases.facts.images import Image, ImageMistake, resolve_image, split_image, version_of

DIGEST = "sha256:" + "ab" * 32
RUNNING = "kelseyhightower/hello:1.0.0"


@pytest.mark.parametrize(
    ("reference", "image"),
    [
        ("hello", Image("hello")),
        ("hello:1.0.0", Image("hello", "1.0.0")),
        ("localhost:5000/hello", Image("localhost:5000/hello")),
        ("localhost:5000/team/hello:1.0.0", Image("localhost:5000/team/hello", "1.0.0")),
        (f"hello@{DIGEST}", Image("hello", "", DIGEST)),
        (f"hello:1.0.0@{DIGEST}", Image("hello", "1.0.0", DIGEST)),
    ],
)
def test_a_colon_after_the_last_slash_begins_the_tag_and_an_at_sign_the_digest(
    reference: str, image: Image
) -> None:
    assert split_image(reference) == image


@pytest.mark.parametrize(
    ("reference", "version"),
    [("hello:2", "2"), ("hello", "latest"), (f"hello@{DIGEST}", "abababababab")],
)
def test_a_version_is_what_people_call_it(reference: str, version: str) -> None:
    assert version_of(reference) == version


@pytest.mark.parametrize(
    ("version", "allowed", "image"),
    [
        ("2.0.0", (), "kelseyhightower/hello:2.0.0"),
        (DIGEST, (), f"kelseyhightower/hello@{DIGEST}"),
        ("kelseyhightower/hello:2.0.0", (), "kelseyhightower/hello:2.0.0"),
        ("docker.io/kelseyhightower/hello:2.0.0", (), "docker.io/kelseyhightower/hello:2.0.0"),
        (
            "mirror.example/hello:2.0.0",
            ("kelseyhightower/hello", "mirror.example/hello"),
            "mirror.example/hello:2.0.0",
        ),
        ("2.0.0", ("mirror.example/hello",), "mirror.example/hello:2.0.0"),
    ],
)
def test_a_tag_a_digest_or_a_full_image_of_an_allowed_repository_is_a_version(
    version: str, allowed: tuple[str, ...], image: str
) -> None:
    assert resolve_image(version, running=RUNNING, allowed=allowed) == image


@pytest.mark.parametrize(
    ("version", "line"),
    [
        ("not a tag", "is not a version"),
        ("-2", "is not a version"),
        ("x" * 129, "is not a version"),
        (
            "evil/hello:2.0.0",
            "Images of `evil/hello` are not allowed here. Allowed: kelseyhightower/hello.",
        ),
        ("kelseyhightower/hello", "names no version. Write kelseyhightower/hello:TAG."),
        ("kelseyhightower/hello@sha256:12", "is not a digest"),
        ("kelseyhightower/hello:a b", "is not a tag"),
    ],
)
def test_anything_else_is_answered_in_one_line(version: str, line: str) -> None:
    with pytest.raises(ImageMistake) as mistake:
        resolve_image(version, running=RUNNING, allowed=())
    assert line in str(mistake.value) and "\n" not in str(mistake.value)


@given(st.from_regex(r"\A[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}\Z"))
def test_every_valid_tag_is_a_version_of_the_running_repository(tag: str) -> None:
    assert split_image(resolve_image(tag, running=RUNNING, allowed=())) == Image(
        "kelseyhightower/hello", tag
    )
