"""Each kind of card as people read it, at a desk and on a phone, in the light and in the dark."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import zip_longest
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from sandbox.slack import LocalSlack
from tests.blocks.golden import file_of
from tests.e2e.conversation.gallery import WIDTHS, as_kept, as_read, opened, picture, post_all

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def slack() -> Iterator[LocalSlack]:
    with LocalSlack(rate_scale=0) as running:
        yield running


@pytest.fixture(scope="module")
def posted(slack: LocalSlack) -> dict[str, str]:
    return post_all(slack)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", list(WIDTHS))
def test_each_kind_of_card_is_read_as_it_is_written(
    browser: Browser,
    slack: LocalSlack,
    posted: dict[str, str],
    width: str,
    scheme: Any,
    has_no_violation: Callable[[Page, str], None],
) -> None:
    differences, overflows = {}, []
    with opened(browser, slack, WIDTHS[width], scheme) as page:
        for name, ts in posted.items():
            picture(page, ts, f"{file_of(name).stem}-{width}-{scheme}")
            read, kept = as_read(page, ts), as_kept(slack, name)
            if not read or read != kept:
                differences[name] = [pair for pair in zip_longest(read, kept) if pair[0] != pair[1]]
            if page.locator(f'article[data-ts="{ts}"] .message-body').evaluate(
                "box => box.scrollWidth - box.clientWidth"
            ):
                overflows.append(name)
        has_no_violation(page, f"cards, {width}, {scheme}")
    assert differences == {}
    assert overflows == []
