"""The feed from a bucket that a relay fills: as the one from PostgreSQL, with a hint in the place of a notification.

    connect -> subscribe -> look -> live -> (any error or deadline) -> back off -> connect ...

The bucket has a key for each document, and `state`, which a relay puts last. State at version N says that every
document is there as of N, or newer; or, until the next heartbeat of a relay, of a past that a database has lost. It
also names the documents that changed since the state before, if the relay knows that; else whoever follows one reads it
again. One message answers for several keys at one point in time, and so do they here: state and document belong
together.

A third key, `alive`, is put by every relay at every heartbeat: one that stays as it is says that no relay runs, which
nobody else would tell, since the bucket answers all the same.

Headers of document and state: Hotconfig-Version and Hotconfig-Token, a document's or the newest of any. Of state, if
known: After, the revision and token of the state that it follows, and Changed, the keys of the documents that are
different since.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial

from hotconfig._apart import Apart
from hotconfig._bucket import ABSENT, REVISION, Bucket, Entry
from hotconfig._feed import LOOK_PAUSE, Beat, Down, Feed, Item, Lost, Published, Stop, follow, member, remaining
from hotconfig._nats_address import LONGEST, Address, bucket_of, key_of
from hotconfig.errors import HotConfigError, Unavailable

STATE, ALIVE, DOCUMENTS = "state", "alive", "document.*"
VERSION, TOKEN = "Hotconfig-Version", "Hotconfig-Token"
AFTER, CHANGED = "Hotconfig-After", "Hotconfig-Changed"
TOO_LARGE = "Hotconfig-Too-Large"
SILENT = 35.0  # seconds without a relay, after which the state of a client is stale
PAUSE = 10.0  # seconds before the next connect, at most: there may be very many of us
BEHIND = 0.005, 0.02, 0.1  # seconds to wait for a replica that is behind, before the leader is asked


def feed(document: str, stop: Stop, *, address: Address, schema: str, heartbeat: float, timeout: float) -> Feed:
    """Follow one document. The first item comes within `timeout` seconds, whatever it is."""
    known = Known(document, address, bucket_of(address, schema), key_of(document), heartbeat)
    return follow(known, partial(_session, known, stop), partial(_explain, known), stop, timeout, PAUSE)


@dataclass(slots=True)
class Known:
    """What the feed knows across connections."""

    document: str
    address: Address
    bucket: str
    key: str
    heartbeat: float
    state: Entry = ABSENT
    alive: tuple[int, float] = 0, 0.0  # the revision of that key, and since when on the monotonic clock
    version: int = -1
    document_version: int | None = None
    document_token: str | None = None
    document_revision: int = 0
    asked: bool = False
    rejected: bool = False
    connected: float = math.inf  # since when, on the monotonic clock
    apart: Apart = field(default_factory=Apart)

    @property
    def entry(self) -> str:
        """What whoever asks for the fleet is told."""
        return f"hotconfig:{max(self.version, 0)}{'!' if self.rejected else ''}:{member()}:{self.document}"


def _explain(known: Known, error: Exception) -> HotConfigError:
    return unavailable(known.address, str(error) if isinstance(error, Lost) else f"{type(error).__name__} in the feed")


def unavailable(address: Address, what: str) -> Unavailable:
    """What nats-py or the server said, and what to do next."""
    return Unavailable(f"cannot use {address}: {what.rstrip('.')}. Next: {_next_step(what)}.")


def _next_step(what: str) -> str:
    for known, step in NEXT_STEPS:
        if known in what:
            return step
    return "check that the servers run and can be reached from here"


NEXT_STEPS = (
    ("bucket", "start `hotconfig relay --to` with this address, or correct the bucket in it"),
    ("no relay", "look why `hotconfig relay` does not run, or what it says"),
    ("credentials file", "write it anew, as `nsc generate creds` does"),
    ("uthoriz", "check the user, token or credentials in the address"),
    ("ermission", "let this user subscribe and publish what docs/howto/fan-out.md lists"),
    ("TLS", "write nats://, or have the server offer TLS"),
    ("ertificate", "check tls_ca, and the server's certificate"),
    ("green threads", "connect to PostgreSQL where gevent has patched the threads"),
    ("or later is needed", "use a newer server"),
    ("need a cluster", "leave --replicas out, or relay to a cluster"),
)


def _session(known: Known, stop: Stop, deadline: float) -> Feed:
    """One connection's life; any error leaves it."""
    if len(known.key) > LONGEST:
        raise Unavailable(f"the name of document {known.document[:20]!r}... is too long for NATS. Next: rename it.")
    name = f"hotconfig:{member()}:{known.document}"
    timeout = remaining(deadline)
    bucket = Bucket.connect(known.address, known.bucket, known.apart, stop, member=name, timeout=timeout)
    try:
        bucket.listen(STATE, lambda: known.entry, timeout=remaining(deadline))
        known.connected = time.monotonic()
        heard = False
        while True:
            before = known.state
            known.rejected = yield _look(bucket, known, stop, deadline, heard=heard)
            deadline = math.inf
            if before is known.state:
                stop.wait(LOOK_PAUSE)
            heard = bucket.heard(known.heartbeat * random.uniform(0.9, 1.1))
    finally:
        bucket.close()


def _look(bucket: Bucket, known: Known, stop: Stop, deadline: float, *, heard: bool) -> Item:
    """The newest state, and the document if it is another one than ours; without a hint, whether a relay is alive."""
    keys = [STATE] if heard else [STATE, ALIVE]
    if not known.asked or _touches(bucket.hint, known):
        keys.append(known.key)
    found = _fresh(bucket, known, keys, stop, deadline)
    if known.key not in keys and _touches(found[STATE].headers, known):
        keys.append(known.key)
        found = _fresh(bucket, known, keys, stop, deadline)
    state = found[STATE]
    if state.deleted:
        raise Lost(f"bucket {known.bucket} is empty")
    version, before = int(state.headers[VERSION]), int(known.state.headers.get(VERSION, -1))
    rewound = version < before or (version == before and state.headers[TOKEN] != known.state.headers[TOKEN])
    if (state.revision, state.headers[TOKEN]) != (known.state.revision, known.state.headers.get(TOKEN)):
        known.state = state
    silent = _silent(known, found.get(ALIVE), moved=known.state is state)
    entry = found[known.key] if known.key in keys else None
    token = entry.headers.get(TOKEN) if entry else None
    known.document_revision = entry.revision if entry else known.document_revision
    if entry is None or (known.asked and token == known.document_token):
        known.version = max(version, known.document_version or 0)
        if ALIVE in keys and silent > SILENT:
            return Down(unavailable(known.address, f"no relay has put anything there for {silent:.0f} s"))
        return Beat(version=known.version, polling=bucket.deaf, rewound=rewound)
    if TOO_LARGE in entry.headers:
        known.asked = False  # so that the next look asks for it again
        raise Unavailable(
            f"document {known.document!r} has {entry.headers[TOO_LARGE]} bytes, more than NATS takes in a message. "
            "Next: raise max_payload of the servers, or make the document smaller."
        )
    known.asked = True
    known.document_token = token
    known.document_version = None if entry.deleted else int(entry.headers[VERSION])
    known.version = max(version, known.document_version or 0)
    return Published(
        version=known.version,
        polling=bucket.deaf,
        rewound=rewound,
        document_version=known.document_version,
        json=entry.payload or None,
    )


def _silent(known: Known, alive: Entry | None, *, moved: bool) -> float:
    """Seconds since a relay was known to run."""
    now = time.monotonic()
    if moved or (alive is not None and alive.revision != known.alive[0]):
        known.alive = (known.alive[0] if alive is None else alive.revision), now
    return now - known.alive[1]


def _fresh(bucket: Bucket, known: Known, keys: list[str], stop: Stop, deadline: float) -> dict[str, Entry]:
    """These entries, `state` the first of them, not older than what we know and were told of."""
    least = {STATE: max(known.state.revision, int(bucket.hint.get(REVISION, 0))), known.key: known.document_revision}
    for pause in BEHIND:
        found = bucket.look(keys, timeout=remaining(deadline), until=deadline)
        if all(found[key].revision >= least.get(key, 0) for key in keys):
            return found
        stop.wait(pause)
    # Its replicas are far behind, or it is another bucket of the same name, which began anew: the leader knows. A
    # document that is read after the state belongs to it or to a newer one.
    bucket.hint = {}
    return {key: bucket.newest(key, timeout=remaining(deadline), until=deadline) for key in keys}


def _touches(headers: Mapping[str, str], known: Known) -> bool:
    """Whether a state with these headers may come with another document than the one that we know."""
    at = int(headers.get(REVISION, 0)), headers.get(TOKEN)
    if at[0] == 0 or at == (known.state.revision, known.state.headers.get(TOKEN)):
        return False
    if headers.get(AFTER) == place(known.state):
        return known.key in headers.get(CHANGED, "").split()
    return True


def place(state: Entry) -> str:
    """What a state says that follows this one."""
    return f"{state.revision}/{state.headers.get(TOKEN, '')}"
