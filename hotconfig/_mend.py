"""What doctor may mend by itself: documents that are behind their tables. All else is for a person to decide."""

from __future__ import annotations

import sqlalchemy as sa

from hotconfig import conninfo as _conninfo
from hotconfig._edits import Written
from hotconfig._engine import engine, translated
from hotconfig._shipped import qualified, text
from hotconfig._write import writing
from hotconfig.conninfo import Conninfo


def publish_again(
    conninfo: Conninfo | None = None,
    *,
    schema: str | None = None,
    actor: str | None = None,
    note: str | None = None,
    dry_run: bool = False,
) -> Written:
    """Publish what differs from its tables, in one version; in a dry run only say what that would change.

    Without a note the history says that doctor did it. A profile that does not fit `ProfileConfig` is not published:
    processes serve on what was published before.

    Raises:
        Unavailable: the server cannot be reached, or the role is no member of hotconfig_owner.
        InvalidConfig: a profile's rows do not fit; nothing was published.
    """
    target, schema = _conninfo.resolve(conninfo), _conninfo.schema_name(schema)
    database: sa.Engine = engine(target, schema)
    note = note or "hotconfig doctor --fix"
    try:
        with (
            translated(target, schema, "hotconfig_owner"),
            writing(database, actor=actor, note=note, expected={}, dry_run=dry_run) as current,
        ):
            current.session.execute(text(f"SELECT {qualified('config_touch', schema)}()"))
    finally:
        database.dispose()
    return current.written
