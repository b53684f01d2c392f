"""The feed from PostgreSQL: when to look again, and how to read.

    connect -> LISTEN -> look -> live -> (any error or deadline) -> back off -> connect ...

LISTEN is committed before the first look, on every connect: the other way round a change between the two is missed for
ever (PostgreSQL manual, LISTEN, Notes). One statement, the look, serves as load and as heartbeat: it asks for the
newest version and brings the document along if it is another one. A notification, whatever its payload, says no more
than "look again".
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
from hotconfig._wire import Refused, Wire
from hotconfig.conninfo import Target
from hotconfig.errors import HotConfigError

PROBE = 1.0  # seconds for a notification to pass a pooler

# SET, which needs no plan, where set_config() would: a start waits for it.
SETTINGS = """
    SET search_path = pg_catalog, pg_temp;
    SET lock_timeout = '4s';
    SET statement_timeout = 0  -- a large document over a thin line takes its time
"""
# What a start need not wait for.
LATER = """
    SET idle_session_timeout = 0;
    SET plan_cache_mode = force_generic_plan;  -- what is prepared is planned once
    SET tcp_keepalives_idle = 30;
    SET tcp_user_timeout = 30000
"""
# Qualified, since behind a pooler the search_path is whatever it is: there anybody who may create functions in it could
# have a better match called.
LOOK = SQL("""
    SELECT s.version, s.token, d.version, d.token,
           CASE WHEN d.token IS DISTINCT FROM $2::uuid
                THEN d.document || pg_catalog.jsonb_build_object('version', d.version) END,
           {listens}
    FROM {schema}.config_state s LEFT JOIN {schema}.config_documents d ON d.name = $1
""")
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
        if polling is None:
            polling = listen(wire, known.channel, stop, deadline)
        known.connected = time.monotonic()
        standby = wire.parameter("in_hot_standby") == "on"
        acknowledged, prepared = known.application_name, False
        while True:
            before = known.version, known.token
            item = _look(wire, known, standby, polling, deadline, check=prepared)
            deadline = math.inf
            known.rejected = yield item
            if polling is None and not prepared:
                wire.query(LATER, timeout=ANSWER)
                # Planning takes longer than what is planned.
                for statement in (_look_in(known.schema, check=True), ACKNOWLEDGE):
                    wire.prepare(statement, timeout=ANSWER)
                prepared = True
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
def _look_in(schema: str, *, check: bool) -> str:
    # Whether a session listens that has just been told to is not asked: to plan that takes a tenth of the first look.
    return LOOK.format(schema=Identifier(schema), listens=LISTENS if check else SQL("true")).as_string()


def _look(wire: Wire, known: Known, standby: bool, polling: str | None, deadline: float, *, check: bool) -> Beat:
    """The newest version, and the document if it is another one than ours; `check` that the session listens."""
    ours = known.document_token
    statement, params = _look_in(known.schema, check=check), [known.document, ours]
    if check:
        params.append(known.channel)
    rows = wire.query(statement, *params, timeout=remaining(deadline), until=deadline)
    if not rows:
        raise Refused("", "config_state is empty")
    version_, token, document_version, token_, json, listening = rows[0]
    version = int(version_ or 0)
    if polling is None and listening != b"t":
        raise Lost("the session does not listen any more")
    if standby and version <= known.version:
        # It may only be behind: what a primary said before stands.
        return Beat(version=known.version, polling=polling)
    rewound = version < known.version or (version == known.version and token != known.token)
    moved_back = int(document_version or 0) < int(known.document_version or 0)
    known.version, known.token = version, token or b""
    document_token = None if token_ is None else token_.decode()
    if document_token == ours and known.asked:
        return Beat(version=version, polling=polling, rewound=rewound)
    known.asked = True
    known.document_version = None if document_version is None else document_version.decode()
    known.document_token = document_token
    return Published(
        version=version,
        polling=polling,
        rewound=rewound or moved_back,
        document_version=None if document_version is None else int(document_version),
        json=json,
    )


def listen(wire: Wire, channel: str, stop: Stop, deadline: float) -> str | None:
    """Listen, or say why notifications do not arrive here."""
    pid = wire.query("SELECT pg_backend_pid()", timeout=remaining(deadline))[0][0]
    # Before any SET: behind a pooler that shares sessions it would fall upon others.
    if pid != str(wire.backend_pid).encode() and not _passes_notifications(wire, stop, deadline):
        return (
            "a connection pooler in transaction mode swallows notifications; "
            "connect to the server itself or to a pool in session mode"
        )
    listen = f"{SETTINGS}; LISTEN {Identifier(channel).as_string()}"
    try:
        wire.query(listen, timeout=remaining(deadline))
    except Refused as refused:
        if refused.sqlstate == "25006":
            wire.query(f"{SETTINGS}; {LATER}", timeout=remaining(deadline))
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
