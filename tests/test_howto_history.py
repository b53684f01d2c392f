"""docs/howto/history-with-sql.md: the query "as of a time" tells what `Admin.document` tells."""

from __future__ import annotations

from pathlib import Path

import pages
import pytest
from editing import Editor

from hotconfig.admin import Admin
from hotconfig.errors import NoSuchDocument

PAGE = Path(__file__).parent.parent / "docs/howto/history-with-sql.md"


def version_of(admin: Admin, name: str, version: int) -> int | None:
    """That of a document when that version was the newest; None: it was not there."""
    try:
        return int(admin.document(name, version=version)["version"])
    except NoSuchDocument:
        return None


@pytest.mark.parametrize(
    "documents",
    [
        ["{}", None, "{}", '{"a": 1}', "{}", None],
        ['{"a": {"b": 1}, "c": 2}', '{"c": 2}', '{"c": {}}', None, '{"c": {}}', "{}"],
        ['{"": 1}', "{}", '{"": {}}', None],
    ],
)
def test_as_of(admin: Admin, editor: Editor, documents: list[str | None]) -> None:
    """Also of a document that went, was empty, or came again; a domain that went takes no other with it."""
    (query,) = [block.text for block in pages.blocks(PAGE) if "AS last" in block.text]
    query = query.replace("profile_id = 1", "document = 'own'").replace("now() - interval '1 hour'", "%s")
    for published in documents:
        version = editor.publish("own", published)
        at = editor.ask('SELECT max("timestamp") FROM config_history')
        row = editor.connection.execute(query.encode(), [at]).fetchone()
        assert (row[0] if row else None) == version_of(admin, "own", version), published
