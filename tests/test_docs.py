"""The documentation does what it says: each block of each page runs."""

from __future__ import annotations

from pathlib import Path

import pages
import pytest

from hotconfig import embedded

ROOT = Path(__file__).parent.parent
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]


@pytest.mark.timeout(240)
@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_page(page: Path, database: str, enterable: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every block runs; a page finds a migrated database with the default profile, unless it makes its own."""
    monkeypatch.setenv("HOTCONFIG_DATABASE_URL", database)
    monkeypatch.chdir(enterable)
    try:
        pages.run(page)
    finally:
        embedded.leave()  # what SQL blocks have joined


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links(page: Path) -> None:
    """What a page links to in the checkout is there."""
    links = [link.partition("#")[0] for link in pages.links(page) if ":" not in link]
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_the_readme_is_short() -> None:
    """At most 120 lines."""
    assert len((ROOT / "README.md").read_text("utf-8").splitlines()) <= 120
