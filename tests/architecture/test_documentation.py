"""The documentation is true: pages made from the code are current, links lead somewhere,
permissions are told completely."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bot.slack.manifest import SCOPES
from tests.architecture.sources import TOP, tracked_files
from tests.reference_pages import DOCS, PAGES

PROSE = tuple(path for path in tracked_files() if path.suffix == ".md")
RBAC = (TOP / "helm" / "pilothouse" / "templates" / "rbac.yaml").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", PAGES)
def test_a_page_made_from_the_code_is_current(name: str) -> None:
    assert (DOCS / name).read_text(encoding="utf-8") == PAGES[name](), (
        "python -m tests.reference_pages writes it anew"
    )


@pytest.mark.parametrize("page", PROSE, ids=str)
def test_every_link_leads_to_a_file_and_a_heading_that_exist(page: Path) -> None:
    broken = []
    for target in re.findall(
        r"\]\((?!https?:|mailto:)([^)\s]+)\)", (TOP / page).read_text(encoding="utf-8")
    ):
        name, _, heading = target.partition("#")
        file = (TOP / page.parent / name).resolve() if name else TOP / page
        if not file.exists() or (heading and heading not in headings(file)):
            broken.append(target)
    assert not broken


def headings(page: Path) -> set[str]:
    """As GitHub makes anchors of them."""
    titles = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_every_permission_that_is_asked_for_is_explained() -> None:
    page = (DOCS / "reference" / "permissions.md").read_text(encoding="utf-8")
    resources = {
        name.strip()
        for line in re.findall(r"resources: \[(.+)\]", RBAC)
        for name in line.split(",")
    }
    assert {"deployments", "secrets"} <= resources
    missing = [scope for scope in SCOPES if f"`{scope}`" not in page] + [
        name for name in sorted(resources) if name not in page
    ]
    assert not missing
