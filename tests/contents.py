"""What a bucket has, and what it should have by what PostgreSQL has."""

from __future__ import annotations

import json

from editing import Editor
from nats_servers import Nats

from hotconfig._nats import ALIVE, STATE, TOKEN, VERSION
from hotconfig._nats_address import key_of

Contents = dict[str, tuple[int, str, object]]
"""Of each key but `alive`: version, token and document; None: a tombstone. What is deleted is not there."""


def wanted(editor: Editor) -> Contents:
    """What all relays are to agree on."""
    rows = editor.connection.execute(
        "SELECT name, version, token::text, document || jsonb_build_object('version', version) FROM config_documents"
    ).fetchall()
    state = editor.connection.execute("SELECT version, token::text, NULL FROM config_state").fetchone()
    assert state is not None
    return {STATE: state, **{key_of(name): (version, token, document) for name, version, token, document in rows}}


def found(server: Nats, bucket: str) -> Contents:
    """What whoever reads the bucket finds."""
    there = server.entries(bucket)
    return {
        key: (int(headers.get(VERSION, -1)), headers.get(TOKEN, ""), json.loads(payload) if payload else None)
        for key, (headers, payload) in (
            (key, entry) for key, entry in there.items() if entry is not None and key != ALIVE
        )
    }
