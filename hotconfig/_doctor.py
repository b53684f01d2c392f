"""What is wrong between an edit and the processes: one finding a check, in the order that an edit goes.

Every check reads in a transaction of its own, and changes nothing.
"""

from __future__ import annotations

import secrets
import shlex
import time
from collections.abc import Iterator
from contextlib import closing

import psycopg
from psycopg.sql import SQL, Identifier

from hotconfig import _fleet, migrations
from hotconfig import conninfo as _conninfo
from hotconfig._content import ACTIVE, PROFILE
from hotconfig._documents import default, documents, profiles
from hotconfig._engine import connect, translation
from hotconfig._place import OK, SETTINGS, Check, Finding, Place, State, Told, in_transaction
from hotconfig._shipped import qualified
from hotconfig._triggers import broken
from hotconfig.conninfo import Conninfo
from hotconfig.errors import HotConfigError
from hotconfig.models import Base

OLDEST = 14
PUBLISHED = ("config_documents", "config_state", "config_history")
TABLES = {"config_state", "config_dirty", *Base.metadata.tables}
PROBE = 2.0  # seconds for a notification to come back, or for processes to follow

WHY = {
    "connection": "without the database a new process does not start, and a running one serves its last snapshot",
    "server": f"hotconfig needs PostgreSQL {OLDEST} or newer, and edits go to a primary",
    "migrated": "hotconfig reads and writes tables of its own",
    "privileges": "a process must read what is published; whoever edits must write the settings",
    "triggers": "they publish every edit and keep the history; without them an edit reaches nobody",
    "documents": "processes read the published documents: what stands only in the tables reaches nobody",
    "default": "a process that names no profile starts with the default one",
    "profiles": "a process that follows a profile which does not validate keeps its last snapshot, or does not start",
    "notifications": "without them an edit arrives at the next heartbeat, and not within milliseconds",
    "processes": "a process that rejects a document serves the one before it",
}


def findings(conninfo: Conninfo | None = None, *, schema: str | None = None) -> Iterator[Finding]:
    """Every check's finding, as it is made. Raises ValueError for a malformed argument, and nothing else."""
    target, schema = _conninfo.resolve(conninfo), _conninfo.schema_name(schema)
    try:
        connection = connect(target, autocommit=True)
    except HotConfigError as error:
        text, _, step = str(error).partition(" Next: ")
        yield Finding("connection", "failure", text.rstrip("."), WHY["connection"], step or "see the message")
        return
    with closing(connection):
        place = Place(connection, target, schema)
        yield Finding("connection", OK, str(target), WHY["connection"], "")
        for first in (_server, _migrated):
            finding = _checked(place, in_transaction(first))
            yield finding
            if finding.state == "failure":
                return
        privileges = _checked(place, in_transaction(_privileges))
        yield privileges
        yield _checked(place, in_transaction(_triggers))
        if privileges.state != "failure":
            # Two of them need a second connection, which a pooler may not give to whoever is in a transaction.
            for check in (documents, in_transaction(default), in_transaction(profiles)):
                yield _checked(place, check)
        yield _checked(place, _notifications)
        yield _checked(place, in_transaction(_processes))


def _checked(place: Place, check: Check) -> Finding:
    name = check.__name__.removeprefix("_")
    try:
        state, text, mend = check(place)
    except (psycopg.Error, HotConfigError) as error:
        if isinstance(error, psycopg.Error):
            error = translation(error, place.target, place.schema, "hotconfig_reader")
        message, _, step = str(error).partition(" Next: ")
        state, text, mend = "failure", f"cannot be checked: {message}", step or "see the message"
    return Finding(name, state, text, WHY[name], mend)


def _server(place: Place) -> Told:
    version = place.connection.info.server_version
    text = f"PostgreSQL {place.connection.info.parameter_status('server_version')}"
    if version < OLDEST * 10_000:
        return "failure", text, f"use PostgreSQL {OLDEST} or newer"
    if place.value("SELECT pg_is_in_recovery()"):
        return "warning", f"{text}, a standby: it takes no edits", "name the primary, or all hosts, in the address"
    return OK, text, ""


def _migrated(place: Place) -> Told:
    rows = place.connection.execute(
        "SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE n.nspname = %s AND c.relname = ANY (%s)",
        [place.schema, [*TABLES]],
    )
    absent = TABLES - {row[0] for row in rows}
    if absent == TABLES:
        text = f"schema {place.schema!r} has no hotconfig tables"
        return "failure", text, f"{place.command('migrate')}, then {place.command('init')}"
    if absent:
        return "failure", f"these tables are missing: {', '.join(sorted(absent))}", "restore them from a backup"
    if not place.may("SELECT", migrations.VERSION_TABLE):
        return OK, "the tables are there; this role may not see their revision", ""
    table = Identifier(place.schema, migrations.VERSION_TABLE)
    row = place.connection.execute(SQL("SELECT version_num FROM {}").format(table)).fetchone()
    current, head = row[0] if row else None, migrations.head()
    if current == head:
        return OK, f"at revision {head}", ""
    if migrations.is_known(current):
        return "failure", f"at revision {current or 'base'}, not {head}", place.command("migrate")
    return "warning", f"at revision {current}, of a newer hotconfig", "pip install --upgrade hotconfig"


def _privileges(place: Place) -> Told:
    role = str(place.value("SELECT quote_ident(current_user)"))
    known = place.value("SELECT count(*) FROM pg_roles WHERE rolname = ANY (%s)", [*migrations.ROLES])
    reads = place.may("SELECT", *PUBLISHED)
    edits = reads and all(place.may(each, *SETTINGS) for each in ("SELECT", "INSERT", "UPDATE", "DELETE"))
    if known != len(migrations.ROLES):
        state: State = OK if reads else "failure"
        text = f"{role} {'reads' if reads else 'may not read what is published'}; hotconfig's roles are missing"
        mend = f"{place.command('migrate')} --database URL, of a role that may create roles"
        return ("warning" if state == OK else state), text, mend
    if not reads:
        return "failure", f"{role} may not read what is published", f"GRANT hotconfig_reader TO {role};"
    row = place.connection.execute(SQL("SELECT FROM {}").format(Identifier(place.schema, "config_state"))).fetchone()
    if row is None:
        return "failure", "config_state is empty", "restore its row from a backup"
    return OK, f"{role} reads and edits" if edits else f"{role} reads, and may not edit", ""


def _triggers(place: Place) -> Told:
    if place.value("SHOW session_replication_role") == "replica":
        role = place.value("SELECT quote_ident(session_user)")
        text = "session_replication_role is replica here: no trigger fires"
        return "failure", text, f"ALTER ROLE {role} RESET session_replication_role;"
    sources = place.may("SELECT", "config_sources")
    found = broken(place.connection, place.schema, sources=sources)
    if found.names:
        mends = [*found.mends, f"SELECT {place.name('config_touch')}();"]
        return "failure", ", ".join(found.names), " ".join(mends)
    own = "" if sources else "; this role may not see which tables of yours are watched"
    return OK, f"{found.expected} triggers are there and enabled{own}", ""


def _notifications(place: Place) -> Told:
    probe = Identifier(f"hotconfig_probe_{secrets.token_hex(8)}")
    listener = place.connection
    try:
        listener.execute(SQL("LISTEN {}").format(probe))
    except psycopg.errors.ReadOnlySqlTransaction:
        return "warning", "a standby does not pass them on", "name the primary, or all hosts, in the address"
    with closing(connect(place.target, autocommit=True)) as other:
        other.execute(SQL("NOTIFY {}").format(probe))
    came = list(listener.notifies(timeout=PROBE, stop_after=1))
    pooled = place.value("SELECT pg_backend_pid()") != listener.info.backend_pid
    listener.execute(SQL("UNLISTEN {}").format(probe))
    if came:
        return OK, "arrive" + (", through a pooler in session mode" if pooled else ""), ""
    text = "do not arrive" + (": a connection pooler in transaction mode swallows them" if pooled else "")
    return "warning", text, "connect to the server itself, or to a pool in session mode"


def _processes(place: Place) -> Told:
    members = _members(place)
    if any(each.behind > 0 for each in members):
        time.sleep(PROBE)  # an edit of just now may be on its way
        members = _members(place)
    rejecting = sorted({f"{_fleet.process(each)} ({each.document})" for each in members if each.rejected})
    if rejecting:
        text = f"the newest document does not validate, or is gone, in {', '.join(rejecting)}"
        own = [each.document for each in members if each.rejected and not each.document.startswith((ACTIVE, PROFILE))]
        back = place.command("rollback")
        if own:
            back = f"correct the rows ({place.command(f'diff --document {shlex.quote(own[0])}')} shows what changed)"
        return "warning", text, f"{back}, or deploy code that accepts it"
    behind = sorted({_fleet.process(each) for each in members if each.behind > 0})
    if behind:
        text = f"{len(members)} connected, not at the newest version: {', '.join(behind)}"
        return "warning", text, f"{place.command('fleet --watch')}, and see whether the process stands still"
    return OK, f"{len(members)} connected", ""


def _members(place: Place) -> list[_fleet.Member]:
    newest = place.value(f"SELECT version FROM {qualified('config_state', place.schema)}")
    place.connection.execute("SELECT pg_stat_clear_snapshot()")
    entries = [row[0] for row in place.connection.execute(_fleet.REGISTRY)]
    known = newest if isinstance(newest, int) else 0
    return [member for _, member in _fleet.members(entries, place.schema, known)]
