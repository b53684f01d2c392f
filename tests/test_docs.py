"""The documentation does what it says: each block of each page runs."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pages
import pytest

from hotconfig import embedded

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


@pytest.fixture
def _elsewhere(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    # Not pytest's directory, which the system user that runs an embedded server for root cannot enter.
    directory = Path(tempfile.mkdtemp(prefix="hotconfig-page-", dir="/tmp"))
    directory.chmod(0o755)
    monkeypatch.chdir(directory)
    yield
    embedded.leave()  # what SQL blocks have joined
    shutil.rmtree(directory)


@pytest.mark.timeout(240)
@pytest.mark.usefixtures("_elsewhere")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_page(page: Path, database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every block runs; a page finds a migrated database with the default profile, unless it makes its own."""
    monkeypatch.setenv("HOTCONFIG_DATABASE_URL", database)
    pages.run(page)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links(page: Path) -> None:
    """What a page links to in the checkout is there."""
    links = [link.partition("#")[0] for link in pages.links(page) if ":" not in link]
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_the_readme_is_short() -> None:
    """At most 120 lines."""
    assert len((ROOT / "README.md").read_text("utf-8").splitlines()) <= 120
