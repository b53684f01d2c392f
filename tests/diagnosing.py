"""What the tests of doctor share: what it finds, and what of that is wrong."""

from __future__ import annotations

from hotconfig._doctor import findings
from hotconfig._place import Finding


def found(url: str, check: str, schema: str | None = None) -> Finding:
    """What doctor says of one check."""
    (finding,) = [each for each in findings(url, schema=schema) if each.check == check]
    return finding


def wrong(url: str, schema: str | None = None) -> dict[str, str]:
    """All that is not ok."""
    return {each.check: each.state for each in findings(url, schema=schema) if each.state != "ok"}
