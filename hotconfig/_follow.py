"""The history as it is made: every version once, in order, across lost connections."""

from __future__ import annotations

from collections.abc import Generator
from itertools import groupby

import sqlalchemy as sa
from sqlalchemy.orm import Session

from hotconfig import _past, _postgres
from hotconfig import conninfo as _conninfo
from hotconfig._edits import Edit
from hotconfig._engine import engine, translated
from hotconfig._feed import Down, Stop
from hotconfig._fleet import HISTORY
from hotconfig.conninfo import Conninfo
from hotconfig.errors import HotConfigError, Unavailable
from hotconfig.models import ConfigHistory

HEARTBEAT = 10.0


def follow(
    conninfo: Conninfo | None = None,
    *,
    schema: str | None = None,
    since: int | None = None,
    document: str | None = None,
    path: str | None = None,
) -> Generator[int | tuple[Edit, ...] | HotConfigError, None, None]:
    """`since`, by default the newest version; then the edits of each version after it, for ever.

    An error in between is no end: it says what hinders at the moment, once, and the versions come when it is over.

    Raises:
        HotConfigError: at the start, what `Client.start` raises; or there is no version `since` yet.
        ValueError: `path` is none.
    """
    target, schema = _conninfo.resolve(conninfo), _conninfo.schema_name(schema)
    rows = _past.filtered(sa.select(ConfigHistory), document=document, path=path)
    stop = Stop()
    feed = _postgres.feed(HISTORY, stop, target=target, schema=schema, heartbeat=HEARTBEAT, timeout=10.0)
    database = engine(target, schema)
    seen: int | None = None
    told = False
    try:
        for item in feed:
            if isinstance(item, Down):
                if seen is None:
                    raise item.error
                if not told:
                    yield item.error
                told = True
                continue
            if seen is None:
                seen = item.version if since is None else since
                if seen > item.version:
                    raise HotConfigError(f"there is no version {seen} yet: the newest one is {item.version}")
                yield seen
            elif item.rewound:
                yield HotConfigError(
                    f"the database stepped back to version {item.version}: later ones are lost, and if there were any, "
                    "those before may have been made again by others"
                )
                seen = min(seen, item.version)
            try:
                while seen < item.version:
                    # Nothing is open while whoever reads this takes time.
                    with translated(target, schema, "hotconfig_reader"), Session(database) as session:
                        page = _past.after(session, rows, seen)
                    for version, edits in groupby(page, key=lambda edit: edit.version):
                        seen = version
                        yield tuple(edits)
                    if not page:
                        seen = item.version
                told = False
            except Unavailable as error:  # the feed will notice too, and say when it is over
                if not told:
                    yield error
                told = True
    finally:
        feed.close()
        stop.close()
        database.dispose()
