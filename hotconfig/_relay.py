"""The relay: every document from PostgreSQL into a bucket, for more processes than a database has connections.

    (notification, heartbeat, or a connect) -> names and tokens -> documents that differ -> put each -> put state

Each put expects the revision that its key had before PostgreSQL was read: first the key, then PostgreSQL, then the put.
So what is put is at least as new as what it replaces, without a comparison of versions, which a failover would fool;
whoever was stopped in between is refused, and begins again. Hence several relays at once do no harm.

State is put last, when all documents of its version are there: `hotconfig._nats` says what it means. What is not there
any more is deleted. At a connect and at each heartbeat everything is compared; a notification brings what is newer.
"""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

from psycopg.sql import SQL, Identifier

from hotconfig import _nats
from hotconfig import conninfo as _conninfo
from hotconfig._apart import Apart
from hotconfig._bucket import ABSENT, Bucket, Entry, Put
from hotconfig._connect import connect
from hotconfig._feed import ANSWER, Beat, Failed, Feed, Stop, follow, member, remaining
from hotconfig._nats import AFTER, ALIVE, CHANGED, DOCUMENTS, STATE, TOKEN, TOO_LARGE, VERSION, place
from hotconfig._nats_address import LONGEST, Address, bucket_of, document_of, key_of
from hotconfig._nats_link import Unanswered
from hotconfig._postgres import ACKNOWLEDGE, announced, as_application_name, listen, pooled
from hotconfig._refusal import refusal, unavailable
from hotconfig._wire import Refused, Wire
from hotconfig.conninfo import Target
from hotconfig.errors import HotConfigError

logger = logging.getLogger("hotconfig")

RELAY = "(relay)"  # what stands in the fleet in the place of a document
AT_A_TIME = 50  # documents that are read and put together
NAMED = 4000  # bytes of the keys that a state names; if more have changed, everybody reads again
LEADER = 2.0  # seconds that the leader of the bucket's stream may take to answer
RATE = 1e6  # bytes a second that are put at least, beyond what an answer takes
PAUSE = 1.0  # seconds between two sessions that fail, at most: a leader is elected within some, and relays are few
OVERHEAD = 1024  # bytes of a message's headers, at most

# The state stands without a name.
NAMES = SQL("""
    SELECT NULL, version, token FROM {schema}.config_state
    UNION ALL SELECT name, version, token FROM {schema}.config_documents WHERE version > $1::bigint
""")
CONTENTS = SQL("""
    SELECT name, version, token, document || pg_catalog.jsonb_build_object('version', version)
    FROM {schema}.config_documents
    WHERE name IN (SELECT pg_catalog.jsonb_array_elements_text($1::jsonb))
""")


@dataclass(slots=True)
class Relay:
    """What a relay knows across connections, and says of itself."""

    target: Target
    schema: str
    address: Address
    replicas: int | None = None
    heartbeat: float = 10.0
    newest: int | None = None
    """The newest version in PostgreSQL."""
    relayed: int | None = None
    """The newest one that all documents in the bucket have."""
    documents: int = 0
    too_large: set[str] = field(default_factory=set)
    """Documents of which the bucket has no more than their size."""
    unfit: set[str] = field(default_factory=set)
    """Documents of which it has nothing: their names are too long for keys."""
    heard: float = -math.inf
    """When both answered, on the monotonic clock."""
    error: HotConfigError | None = None
    connected: float = math.inf
    apart: Apart = field(default_factory=Apart)

    @property
    def application_name(self) -> str:
        entry = f"{announced(_conninfo.channel(self.schema))}{self.relayed or 0}:{member()}:{RELAY}"
        return as_application_name(entry)

    def run(self, stop: Stop) -> Iterator[HotConfigError | None]:
        """Relay until `stop` is set. Yields what hinders, and None whenever all is relayed."""
        session, explain = partial(_session, self, stop), partial(_explain, self)
        for item in follow(self, session, explain, stop, math.inf, PAUSE):
            self.error = None if isinstance(item, Beat) else item.error
            yield self.error


@dataclass(frozen=True, slots=True)
class Row:
    """A document as PostgreSQL has it, or without a name the state."""

    name: str | None
    version: str
    token: str
    json: bytes | None = None


@dataclass(slots=True)
class _Session:
    """Both ends."""

    relay: Relay
    bucket: Bucket
    wire: Wire
    there: dict[str, Entry] = field(default_factory=dict)
    """What the bucket has, as far as we know: its payloads left out."""
    state: Row | None = None
    """What was announced last by us, or needed no announcement."""
    unannounced: set[str] = field(default_factory=set)
    """Keys of documents that were put since."""
    alive: float = -math.inf
    """When we said last that a relay runs, on the monotonic clock."""

    def survey(self) -> None:
        """What the bucket has: whatever somebody else has put or removed."""
        state = self.bucket.newest(STATE, timeout=LEADER)
        documents = self.bucket.entries(DOCUMENTS, timeout=LEADER)
        self.there = {STATE: state, **documents}
        # Whoever put these has not come to announce them.
        self.unannounced |= {key for key, entry in documents.items() if entry.revision > state.revision}

    def names(self, since: int) -> tuple[Row, list[Row]]:
        """The state, and the documents of versions after `since`, at one point in time."""
        statement = NAMES.format(schema=Identifier(self.relay.schema)).as_string()
        rows = [_row(*row) for row in self.wire.query(statement, str(since), timeout=ANSWER)]
        states = [row for row in rows if row.name is None]
        if not states:
            raise Refused("", "config_state is empty")
        # A name for which there is no key must not hold up all others.
        unfit = {row.name for row in rows if row.name is not None and len(key_of(row.name)) > LONGEST}
        for name in unfit - self.relay.unfit:
            logger.error("document %r... is not relayed: its name is too long for NATS", name[:20])
        self.relay.unfit |= unfit
        return states[0], [row for row in rows if row.name is not None and row.name not in unfit]

    def bring(self, names: Sequence[str]) -> None:
        """Put these documents as they are now, until the bucket has each of them, or a newer one."""
        statement = CONTENTS.format(schema=Identifier(self.relay.schema)).as_string()
        for start in range(0, len(names), AT_A_TIME):
            missing = list(names[start : start + AT_A_TIME])
            while missing:
                asked = self.wire.query(statement, json.dumps(missing), timeout=ANSWER)
                rows = {row.name: row for row in (_row(*each) for each in asked)}
                puts = {name: self._put(name, rows.get(name)) for name in missing if self.differs(name, rows.get(name))}
                missing = []
                timeout = ANSWER + sum(len(put.payload) for put in puts.values()) / RATE
                revisions = self.bucket.put(list(puts.values()), timeout=timeout)
                for (name, put), revision in zip(puts.items(), revisions, strict=True):
                    if revision is None:  # somebody else was faster
                        self.there[put.key] = self.bucket.newest(put.key, timeout=LEADER)
                        missing.append(name)
                    else:
                        self.there[put.key] = Entry(revision, put.headers, b"")
                        self.unannounced.add(put.key)

    def differs(self, name: str, row: Row | None) -> bool:
        entry = self.there.get(key_of(name), ABSENT)
        if row is None or entry.deleted:
            return not (row is None and entry.deleted)
        if int(entry.headers.get(TOO_LARGE, self.bucket.max_payload)) <= self.bucket.max_payload - OVERHEAD:
            return True  # the servers take more now
        return entry.headers.get(TOKEN) != row.token

    def _put(self, name: str, row: Row | None) -> Put:
        key = key_of(name)
        revision = self.there.get(key, ABSENT).revision
        if row is None:
            return Put(key, ABSENT.headers, b"", revision)
        headers, payload = {VERSION: row.version, TOKEN: row.token}, row.json or b""
        if len(payload) + OVERHEAD > self.bucket.max_payload:
            what = "raise max_payload of the NATS servers, or the largest value of the bucket"
            logger.error("document %r has %d bytes: %s", name, len(payload), what)
            headers, payload = headers | {TOO_LARGE: str(len(payload))}, b""
        return Put(key, headers, payload, revision)

    def announce(self, state: Row, changed: Sequence[str] | None) -> bool:
        """Put the state that was read before all puts; False: somebody was faster, and PostgreSQL is to be read again.

        Args:
            state: as PostgreSQL has it.
            changed: the keys of all documents that differ from the state that we announced last; None: not known.
        """
        before = self.there.get(STATE, ABSENT)
        if before.headers.get(TOKEN) != state.token or self.unannounced:
            headers = {VERSION: state.version, TOKEN: state.token}
            follows = self.state is not None and before.headers.get(TOKEN) == self.state.token
            if changed is not None and follows and len(named := " ".join(changed)) <= NAMED:
                headers |= {AFTER: place(before), CHANGED: named}
            (revision,) = self.bucket.put([Put(STATE, headers, b"", before.revision)], timeout=ANSWER)
            if revision is None:
                now = self.bucket.newest(STATE, timeout=LEADER)
                self.there[STATE] = now
                said = set(now.headers.get(CHANGED, "").split())
                if now.headers.get(TOKEN) != state.token or not self.unannounced <= said:
                    return False
            else:
                self.there[STATE] = Entry(revision, headers, b"")
        self.state = state
        self.unannounced.clear()
        return True

    def say_alive(self) -> None:
        now = time.monotonic()
        if now - self.alive > self.relay.heartbeat / 2:
            self.bucket.put([Put(ALIVE, {}, b"", None)], timeout=ANSWER)
            self.alive = now


def _session(relay: Relay, stop: Stop, deadline: float) -> Feed:
    """One life of both connections; any error leaves it."""
    name = bucket_of(relay.address, relay.schema)
    member_ = f"hotconfig:{member()}:{RELAY}"
    bucket = Bucket.connect(relay.address, name, relay.apart, stop, member=member_, timeout=ANSWER)
    try:
        bucket.make(relay.replicas, timeout=LEADER)
        wire, standby = connect(relay.target, relay.application_name, relay.apart, stop, deadline)
        try:
            if standby is not None:
                raise unavailable("no server here is a primary; a standby may be behind what was relayed", relay.target)
            pid = wire.query("SELECT pg_backend_pid()", timeout=remaining(deadline))[0][0]
            channel = _conninfo.channel(relay.schema)
            if reason := pooled(wire, pid, stop, deadline) or listen(wire, channel, deadline):
                raise unavailable(reason, relay.target)
            session = _Session(relay, bucket, wire)
            relay.connected = time.monotonic()
            yield from _relaying(session)
        finally:
            wire.close()
    finally:
        bucket.close()


def _relaying(session: _Session) -> Feed:
    relay, wire = session.relay, session.wire
    acknowledged, whole, surveyed = "", True, 0.0
    while True:
        if whole:
            session.survey()
            surveyed = time.monotonic()
        known = session.state
        state, rows = session.names(-1 if whole or known is None else int(known.version))
        relay.newest = int(state.version)
        if not whole and known is not None and _stepped_back(known, state):
            whole = True
            continue
        names = [row.name for row in rows if row.name is not None and session.differs(row.name, row)]
        if whole:
            published = {row.name for row in rows}
            names += [name for name in map(document_of, _documents(session.there)) if name not in published]
        session.bring(names)
        if not session.announce(state, None if whole else [key_of(row.name) for row in rows if row.name]):
            continue
        session.say_alive()
        relay.documents, relay.heard = len(_documents(session.there)), time.monotonic()
        relay.too_large = {document_of(key) for key, entry in session.there.items() if TOO_LARGE in entry.headers}
        relay.relayed = relay.newest
        yield Beat(version=relay.newest)
        if acknowledged != (name := relay.application_name):
            wire.query(ACKNOWLEDGE, name, timeout=ANSWER)
            acknowledged = name
        # Not only when it is quiet: edits may never pause for so long.
        whole = not wire.notified(relay.heartbeat) or time.monotonic() - surveyed > relay.heartbeat


def _stepped_back(known: Row, state: Row) -> bool:
    return int(state.version) < int(known.version) or (state.version == known.version and state.token != known.token)


def _documents(there: dict[str, Entry]) -> list[str]:
    """The keys of the documents that are there."""
    return [key for key, entry in there.items() if key != STATE and not entry.deleted]


def _row(name: bytes | None, version: bytes | None, token: bytes | None, json: bytes | None = None) -> Row:
    return Row(None if name is None else name.decode(), (version or b"0").decode(), (token or b"").decode(), json)


def _explain(relay: Relay, error: Exception) -> HotConfigError:
    if isinstance(error, Unanswered):
        return _nats.unavailable(relay.address, str(error))
    if not isinstance(error, Failed):
        return unavailable(f"{type(error).__name__} in the relay", relay.target)
    return refusal(error.sqlstate if isinstance(error, Refused) else "", str(error), relay.target, relay.schema)
