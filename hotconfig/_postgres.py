"""The feed from PostgreSQL: when to look again, and how to read.

    connect -> look -> LISTEN -> look -> live -> (any error or deadline) -> back off -> connect ...

On every connect a look begins after LISTEN is committed: were there none, a change just before LISTEN would be missed
for ever (PostgreSQL manual, LISTEN, Notes). The look before it is what a start waits for. One statement, the look,
serves as load and as heartbeat: it asks for the newest version and brings the document along if it is another one. A
notification, whatever its payload, says no more than "look again".
"""

from __future__ import annotations

import math
import random
import secrets
import time
from dataclasses import dataclass, field
from functools import cache, partial

from psycopg.sql import SQL, Identifier

from hotconfig import conninfo as _conninfo
from hotconfig._apart import Apart
from hotconfig._connect import connect
from hotconfig._feed import ANSWER, LOOK_PAUSE, Beat, Failed, Feed, Lost, Published, Stop, follow, member, remaining
from hotconfig._refusal import refusal, unavailable
from hotconfig._wire import Refused, Row, Wire
from hotconfig.conninfo import Target
from hotconfig.errors import HotConfigError

PROBE = 1.0  # seconds for a notification to pass a pooler

SETTINGS = """
    SET search_path = pg_catalog, pg_temp;
    SET lock_timeout = '4s';
    SET statement_timeout = 0;  -- a large document over a thin line takes its time
    SET idle_session_timeout = 0;
    SET plan_cache_mode = force_generic_plan;  -- what is prepared is planned once
    SET tcp_keepalives_idle = 30;
    SET tcp_user_timeout = 30000
"""
# Qualified, since anybody who may create functions in a schema of the search_path could have a better match called.
LOOK = SQL("""
    SELECT s.version, s.token, d.version, d.token,
           CASE WHEN d.token IS DISTINCT FROM {token}::uuid THEN d.document END,
           {session}
    FROM {schema}.config_state s LEFT JOIN {schema}.config_documents d ON d.name = {name}
""")
# In any session, ours alone or not: one message, whose settings end with its transaction.
ANYWHERE = SQL("""
    SET LOCAL search_path = pg_catalog, pg_temp;
    SET LOCAL lock_timeout = '4s';
    SET LOCAL statement_timeout = 0;
""")
PID = SQL("pg_catalog.pg_backend_pid()")
LISTENS = SQL("EXISTS (SELECT FROM pg_catalog.pg_listening_channels() AS c WHERE c = $3)")
ACKNOWLEDGE = "SELECT pg_catalog.set_config('application_name', $1, false)"


def feed(document: str, stop: Stop, *, target: Target, schema: str, heartbeat: float, timeout: float) -> Feed:
    """Follow one document. The first item comes within `timeout` seconds, whatever it is."""
    known = Known(document, schema, _conninfo.channel(schema), heartbeat, target)
    return follow(known, partial(_session, known, stop), partial(_explain, known), stop, timeout)


@dataclass(slots=True)
class Known:
    """What the feed knows across connections."""

    document: str
    schema: str
    channel: str
    heartbeat: float
    target: Target
    version: int = -1
    token: bytes = b""
    document_version: str | None = None
    document_token: str | None = None
    asked: bool = False
    connected: float = math.inf  # since when, on the monotonic clock
    rejected: bool = False
    refused: bool = False  # no LISTEN since one that failed
    apart: Apart = field(default_factory=Apart)

    @property
    def application_name(self) -> str:
        """The entry in the fleet's registry, pg_stat_activity."""
        mark = "!" if self.rejected else ""
        return as_application_name(f"{announced(self.channel)}{max(self.version, 0)}{mark}:{member()}:{self.document}")


def announced(channel: str) -> str:
    """What the entries of an installation begin with: `hotconfig:`, and unless that is public `@`, its schema, `:`."""
    _, named, schema = channel.partition(":")
    return f"hotconfig:@{as_application_name(schema[:20])}:" if named else "hotconfig:"


def as_application_name(text: str) -> str:
    """As the server keeps it: ASCII, and cut at 63 bytes."""
    return text.encode("ascii", "replace")[:63].decode()


def _explain(known: Known, error: Exception) -> HotConfigError:
    if not isinstance(error, Failed):
        return unavailable(f"{type(error).__name__} in the feed", known.target)
    return refusal(error.sqlstate if isinstance(error, Refused) else "", str(error), known.target, known.schema)


def _session(known: Known, stop: Stop, deadline: float) -> Feed:
    """One connection's life. Returns only to look for a primary; any error leaves it."""
    wire, polling = connect(known.target, known.application_name, known.apart, stop, deadline)
    try:
        known.connected = time.monotonic()
        standby = wire.parameter("in_hot_standby") == "on"
        acknowledged, listening = known.application_name, False
        while True:
            before = known.version, known.token
            row = _look(wire, known, deadline, listening=listening)
            if polling is None and not listening:
                polling = pooled(wire, row[-1], stop, deadline)
            deaf = polling is None and not listening
            # Where LISTEN is refused, each look would else say that all is well.
            if not (deaf and known.refused):
                known.rejected = yield _item(known, row, standby, polling)
                deadline = math.inf
            if deaf:
                known.refused = True
                polling = listen(wire, known.channel)
                known.refused, listening = False, polling is None
                # Planning takes longer than what is planned.
                for statement in (_prepared(known.schema), ACKNOWLEDGE) if listening else ():
                    wire.prepare(statement, timeout=ANSWER)
                continue
            if acknowledged != (name := known.application_name):
                wire.query(ACKNOWLEDGE, name, timeout=ANSWER)
                acknowledged = name
            if standby:
                wire.notified(known.heartbeat)
                return
            if before == (known.version, known.token):
                stop.wait(LOOK_PAUSE)
            wire.notified(known.heartbeat * random.uniform(0.9, 1.1))
    finally:
        wire.close()


@cache
def _prepared(schema: str) -> str:
    places = {"name": SQL("$1"), "token": SQL("$2"), "session": LISTENS}
    return LOOK.format(schema=Identifier(schema), **places).as_string()


def _look(wire: Wire, known: Known, deadline: float, *, listening: bool) -> Row:
    """The newest version, and the document if it is another one than ours."""
    timeout = remaining(deadline)
    if listening:
        params = known.document, known.document_token, known.channel
        rows = wire.query(_prepared(known.schema), *params, timeout=timeout)
    else:
        name, token = (SQL(wire.literal(text)) for text in (known.document, known.document_token))
        look = LOOK.format(schema=Identifier(known.schema), name=name, token=token, session=PID)
        rows = wire.query((ANYWHERE + look).as_string(), timeout=timeout, until=deadline)
    if not rows:
        raise Refused("", "config_state is empty")
    if listening and rows[0][-1] != b"t":
        raise Lost("the session does not listen any more")
    return rows[0]


def _item(known: Known, row: Row, standby: bool, polling: str | None) -> Beat:
    version_, token, document_version, token_, json, _ = row
    version = int(version_ or 0)
    if standby and version <= known.version:
        # It may only be behind: what a primary said before stands.
        return Beat(version=known.version, polling=polling)
    rewound = version < known.version or (version == known.version and token != known.token)
    moved_back = int(document_version or 0) < int(known.document_version or 0)
    known.version, known.token = version, token or b""
    document_token = None if token_ is None else token_.decode()
    if document_token == known.document_token and known.asked:
        return Beat(version=version, polling=polling, rewound=rewound)
    known.asked = True
    known.document_version = None if document_version is None else document_version.decode()
    known.document_token = document_token
    return Published(
        version=version,
        polling=polling,
        rewound=rewound or moved_back,
        document_version=None if document_version is None else int(document_version),
        json=None if json is None or document_version is None else _versioned(json, document_version),
    )


def _versioned(json: bytes, version: bytes) -> bytes:
    """The object with its version, for which the key is reserved."""
    return json[:-1] + (b", " if len(json) > len(b"{}") else b"") + b'"version": ' + version + b"}"


def pooled(wire: Wire, pid: bytes | None, stop: Stop, deadline: float) -> str | None:
    """Why no notification would arrive, if this process of the server's is not the one that was connected to."""
    if pid == str(wire.backend_pid).encode() or _passes_notifications(wire, stop, deadline):
        return None
    return (
        "a connection pooler in transaction mode swallows notifications; "
        "connect to the server itself or to a pool in session mode"
    )


def listen(wire: Wire, channel: str, deadline: float = math.inf) -> str | None:
    """Listen in a session that is ours alone, or say why notifications do not arrive here."""
    listen = f"{SETTINGS}; LISTEN {Identifier(channel).as_string()}"
    try:
        wire.query(listen, timeout=remaining(deadline))
    except Refused as refused:
        if refused.sqlstate == "25006":
            return "a standby does not pass notifications on"
        if refused.sqlstate != "58P01":
            raise
        # A server's bug, since mended: VACUUM removed what the queue still needs. This call moves the queue on.
        wire.query("SELECT pg_notification_queue_usage()", timeout=remaining(deadline))
        wire.query(listen, timeout=remaining(deadline))
    return None


def _passes_notifications(wire: Wire, stop: Stop, deadline: float) -> bool:
    """Whether a notification from another session comes through the pooler."""
    probe = Identifier(f"hotconfig_probe_{secrets.token_hex(8)}").as_string()
    try:
        wire.query(f"LISTEN {probe}", timeout=remaining(deadline))
        other = Wire.connect({**wire.params, "application_name": "hotconfig probe"}, stop, timeout=remaining(deadline))
        try:
            other.query(f"NOTIFY {probe}", timeout=remaining(deadline))
        finally:
            other.close()
        passed = wire.notified(remaining(deadline, PROBE))
        wire.query(f"UNLISTEN {probe}", timeout=remaining(deadline))
    except Refused:
        return False
    return passed
