"""The page of the API beside its codes and fields."""

from __future__ import annotations

import re

from bot.api.bodies import ReleaseRequest
from bot.api.problems import CODES
from tests.reference_pages import DOCS

PAGE = (DOCS / "reference" / "api.md").read_text(encoding="utf-8")


def test_the_page_has_every_code_with_its_status() -> None:
    rows = re.findall(r"^\| (\d{3}) \| `(\w+)` \|", PAGE, re.MULTILINE)
    assert {code: int(status) for status, code in rows} == {
        code: status for code, (status, _) in CODES.items()
    }


def test_the_page_has_every_field_of_a_request() -> None:
    fields = PAGE.partition("| field | |")[2].partition("\n\n")[0]
    named = re.findall(r"`(\w+)`", "\n".join(row.split("|")[1] for row in fields.splitlines()[2:]))
    assert set(named) == set(ReleaseRequest.model_fields)
