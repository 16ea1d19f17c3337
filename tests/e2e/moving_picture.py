"""`python -m tests.e2e.moving_picture [FILE]`: the picture of the README, of screenshots of the
sandbox: a canary that someone else approves, and a bad image that is rolled back."""

from __future__ import annotations

import struct
import sys
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from playwright.sync_api import Page, expect, sync_playwright

from sandbox.main import run_sandbox
from tests.e2e.conftest import ARGUMENTS, CHROMIUM
from tests.e2e.pictures import IMAGES

SIZE = {"width": 900, "height": 620}
PATIENCE_MS = 40_000
MOST_BYTES = 1_500_000
_SIGNATURE = b"\x89PNG\r\n\x1a\n"


@dataclass
class Film:
    page: Page
    frames: list[tuple[bytes, float]] = field(default_factory=list)

    def shoot(self, seconds: float) -> None:
        self.frames.append((self.page.screenshot(animations="disabled", caret="hide"), seconds))

    def type(self, text: str) -> None:
        composer = self.page.locator("#composer textarea")
        composer.fill(text)
        self.shoot(1.2)
        composer.press("Enter")

    def become(self, name: str) -> None:
        self.page.get_by_label("Acting as").select_option(label=name)
        expect(self.page.locator(".acting-chip")).to_have_text(name)

    def until(self, words: str) -> None:
        found = self.page.locator("article.message").filter(has_text=words).last
        expect(found).to_be_visible(timeout=PATIENCE_MS)


def play(film: Film) -> None:
    film.type("/deploy hello 2.0.0 canary")
    film.until("holding until")
    film.shoot(2.5)
    film.until("waiting for 1 approval")
    film.shoot(2.5)
    film.become("Release manager")
    film.page.get_by_role("button", name="Promote").last.click()
    film.shoot(2.0)
    film.page.get_by_role("dialog").get_by_role("button", name="Promote").click()
    film.until("hello is on 2.0.0")
    film.shoot(2.5)
    film.become("Developer")
    film.type("/deploy hello missing")
    film.until("Nothing to do.")
    film.shoot(4.0)


def animated(frames: Sequence[tuple[bytes, float]]) -> bytes:
    """An animated PNG, which every browser draws: the first screenshot's header, then the pixels
    of each. The screenshots have one size and one kind of pixel."""
    (first, _), *_ = frames
    header = next(data for kind, data in chunks(first) if kind == b"IHDR")
    control = struct.pack(">II", len(frames), 0)
    out, number = [_SIGNATURE, chunk(b"IHDR", header), chunk(b"acTL", control)], 0
    width, height = struct.unpack(">II", header[:8])
    for index, (png, seconds) in enumerate(frames):
        shown = (number, width, height, 0, 0, round(seconds * 100), 100, 0, 0)
        out.append(chunk(b"fcTL", struct.pack(">IIIIIHHBB", *shown)))
        number += 1
        pixels = b"".join(data for kind, data in chunks(png) if kind == b"IDAT")
        packed = zlib.compress(zlib.decompress(pixels), 9)
        if index == 0:
            out.append(chunk(b"IDAT", packed))
        else:
            out.append(chunk(b"fdAT", struct.pack(">I", number) + packed))
            number += 1
    return b"".join([*out, chunk(b"IEND", b"")])


def chunks(png: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = len(_SIGNATURE)
    while at < len(png):
        (length,) = struct.unpack(">I", png[at : at + 4])
        yield png[at + 4 : at + 8], png[at + 8 : at + 8 + length]
        at += 12 + length


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def main(to: Path) -> None:
    with run_sandbox(ready_after=0.5, rate_scale=0) as sandbox, sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=CHROMIUM, args=ARGUMENTS, ignore_default_args=["--headless"]
        )
        page = browser.new_page(viewport=SIZE, bypass_csp=True)  # type: ignore[arg-type]
        page.goto(sandbox.url)
        film = Film(page)
        play(film)
        browser.close()
    picture = animated(film.frames)
    if len(picture) > MOST_BYTES:
        raise SystemExit(f"{len(picture)} bytes: more than a README should load")
    to.write_bytes(picture)
    print(f"{to}: {len(film.frames)} screenshots, {len(picture)} bytes")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else IMAGES / "release.png")
