"""What is wrong between an edit and the processes: one finding a check, in the order that an edit goes.

Every check reads in a transaction of its own, and changes nothing.
"""

from __future__ import annotations

import functools
import os
import secrets
import shlex
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Literal

import psycopg
from psycopg.sql import SQL, Identifier

from hotconfig import _fleet, migrations
from hotconfig import conninfo as _conninfo
from hotconfig._content import ACTIVE, PROFILE, missing, parse
from hotconfig._drift import drifted_documents, drifted_profiles
from hotconfig._engine import BEGIN, connect, engine, translated, translation
from hotconfig._shipped import qualified
from hotconfig._triggers import broken
from hotconfig.conninfo import Conninfo, Target
from hotconfig.errors import HotConfigError, InvalidConfig
from hotconfig.models import Base
from hotconfig.profile import ProfileConfig

State = Literal["ok", "warning", "failure"]

OLDEST = 14
PUBLISHED = ("config_documents", "config_state", "config_history")
SETTINGS = ("config_profiles", "config_ai_infra", "config_genie_spaces", "config_mlflow", "config_prompts")
TABLES = {"config_state", "config_dirty", *Base.metadata.tables}
PATIENCE = "10s"  # for a statement
PROBE = 2.0  # seconds for a notification to come back, or for processes to follow

NAMES = "SELECT name FROM {} WHERE document IS NOT NULL"
# Documents of one's own that no table is watched for.
BY_HAND = """
    SELECT name FROM {} WHERE document IS NOT NULL AND name <> 'active' AND name NOT LIKE 'profile/%%'
    EXCEPT SELECT document FROM {} ORDER BY 1
"""

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


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found."""

    check: str
    state: State
    text: str
    why: str
    """Why it matters."""
    mend: str
    """The command that mends it; '' if it is ok."""


@dataclass(frozen=True, slots=True)
class Place:
    """What is looked at."""

    connection: psycopg.Connection
    target: Target
    schema: str

    def name(self, table: str) -> str:
        return qualified(table, None if self.schema == "public" else self.schema)

    def command(self, verb: str) -> str:
        return f"hotconfig {verb}" + ("" if self.schema == "public" else f" --schema {shlex.quote(self.schema)}")

    def may(self, privilege: str, *tables: str) -> bool:
        """Whether the session's role has it on all of them."""
        row = self.connection.execute(
            "SELECT has_schema_privilege(n.oid, 'USAGE') AND bool_and(has_table_privilege(c.oid, %s))"
            " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
            " WHERE n.nspname = %s AND c.relname = ANY (%s) GROUP BY n.oid",
            [privilege, self.schema, list(tables)],
        ).fetchone()
        return bool(row and row[0])


Told = tuple[State, str, str]  # state, text, mend
Check = Callable[[Place], Told]
OK: State = "ok"


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
            finding = _checked(place, _in_transaction(first))
            yield finding
            if finding.state == "failure":
                return
        privileges = _checked(place, _in_transaction(_privileges))
        yield privileges
        yield _checked(place, _in_transaction(_triggers))
        if privileges.state != "failure":
            # Two of them need a second connection, which a pooler may not give to whoever is in a transaction.
            for check in (_documents, _in_transaction(_default), _in_transaction(_profiles)):
                yield _checked(place, check)
        yield _checked(place, _notifications)
        yield _checked(place, _in_transaction(_processes))


def _in_transaction(check: Check) -> Check:
    """A check that reads one state of the database, and cannot change it."""

    @functools.wraps(check)
    def checked(place: Place) -> Told:
        with place.connection.transaction():
            place.connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            place.connection.execute(BEGIN)
            place.connection.execute("SELECT set_config('statement_timeout', %s, true)", [PATIENCE])
            return check(place)

    return checked


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
    if _value(place, "SELECT pg_is_in_recovery()"):
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
    role = str(_value(place, "SELECT quote_ident(current_user)"))
    known = _value(place, "SELECT count(*) FROM pg_roles WHERE rolname = ANY (%s)", [*migrations.ROLES])
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
    if _value(place, "SHOW session_replication_role") == "replica":
        role = _value(place, "SELECT quote_ident(session_user)")
        text = "session_replication_role is replica here: no trigger fires"
        return "failure", text, f"ALTER ROLE {role} RESET session_replication_role;"
    sources = place.may("SELECT", "config_sources")
    found = broken(place.connection, place.schema, sources=sources)
    if found.names:
        mends = [*found.mends, f"SELECT {place.name('config_touch')}();"]
        return "failure", ", ".join(found.names), " ".join(mends)
    own = "" if sources else "; this role may not see which tables of yours are watched"
    return OK, f"{found.expected} triggers are there and enabled{own}", ""


def _documents(place: Place) -> Told:
    if not place.may("SELECT", *SETTINGS, "config_sources"):
        text = "not compared with the tables, which this role may not read"
        return "warning", text, "run doctor as a member of hotconfig_editor"
    with translated(place.target, place.schema, "hotconfig_editor"):
        drifted = drifted_profiles(engine(place.target, place.schema), PATIENCE)
    return _in_transaction(functools.partial(_own_documents, drifted=drifted))(place)


def _own_documents(place: Place, *, drifted: list[str]) -> Told:
    own, errors = drifted_documents(place.connection, place.schema)
    # A superuser may everything: there it is the function that may not. One that writes may do so at a commit.
    denied = psycopg.errors.ReadOnlySqlTransaction, psycopg.errors.InsufficientPrivilege
    tried = denied[:1] if _value(place, "SHOW is_superuser") == "on" else denied
    unknown = [name for name, error in errors.items() if isinstance(error, tried)]
    raising = [f"{name} ({error.diag.message_primary})" for name, error in errors.items() if name not in unknown]
    texts, mends = [], []
    if drifted or own:
        texts.append(f"not as their tables: {', '.join([*drifted, *own])}")
        mends.append(f"SELECT {place.name('config_touch')}();  -- `hotconfig doctor --fix` does that")
    if raising:
        texts.append(f"cannot be built, so that edits of their tables are refused: {', '.join(raising)}")
        way_out = f"SELECT {place.name('config_unwatch_document')}(document);"
        mends.insert(0, f"correct the function or its rows; {way_out} lets edits through unpublished")
    if texts:
        return "failure", "; ".join(texts), "; then ".join(mends)
    if unknown:
        text = f"as their tables, but this role cannot build {', '.join(unknown)}"
        return "warning", text, "run doctor as a member of hotconfig_owner"
    statement = SQL(BY_HAND).format(
        Identifier(place.schema, "config_documents"), Identifier(place.schema, "config_sources")
    )
    by_hand = [row[0] for row in place.connection.execute(statement)]
    # Who publishes by hand means it; who let a table go at night may have forgotten.
    return OK, "as their tables" + (f"; made from none: {', '.join(by_hand)}" if by_hand else ""), ""


def _default(place: Place) -> Told:
    wanted = os.environ.get("HOTCONFIG_PROFILE", "").strip()
    if wanted and _document(place, PROFILE + wanted) is None:
        return (
            "failure",
            f"HOTCONFIG_PROFILE: {missing(PROFILE + wanted)}",
            "correct HOTCONFIG_PROFILE; `hotconfig profiles` lists what there is",
        )
    document = _document(place, ACTIVE)
    if document is None:
        documents = Identifier(place.schema, "config_documents")
        names = {row[0] for row in place.connection.execute(SQL(NAMES).format(documents))}
        if names and not any(name.startswith(PROFILE) for name in names):
            return OK, "no profiles, but documents of your own", ""
        return "failure", "no profile is the default one", place.command("init")
    try:
        config = parse(ProfileConfig, document, ACTIVE)
    except InvalidConfig as error:
        return "failure", str(error), f"{place.command('set PATH=VALUE')}, or {place.command('rollback')}"
    return OK, f'profile "{config.profile.name}" at version {config.version}', ""


def _profiles(place: Place) -> Told:
    table = Identifier(place.schema, "config_documents")
    rows = place.connection.execute(
        SQL(
            "SELECT name, document::text FROM {} WHERE name LIKE 'profile/%' AND document IS NOT NULL ORDER BY name"
        ).format(table)
    ).fetchall()
    wrong = []
    for name, document in rows:
        try:
            parse(ProfileConfig, document.encode(), name)
        except InvalidConfig as error:
            wrong.append((name.removeprefix(PROFILE), str(error)))
    if wrong:
        mend = place.command(f"set --profile {shlex.quote(wrong[0][0])} PATH=VALUE")
        return "warning", " ".join(text for _, text in wrong), mend
    return OK, f"{len(rows)} validate" if len(rows) != 1 else "1 validates", ""


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
    pooled = _value(place, "SELECT pg_backend_pid()") != listener.info.backend_pid
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
    newest = _value(place, f"SELECT version FROM {qualified('config_state', place.schema)}")
    place.connection.execute("SELECT pg_stat_clear_snapshot()")
    entries = [row[0] for row in place.connection.execute(_fleet.REGISTRY)]
    known = newest if isinstance(newest, int) else 0
    return [member for _, member in _fleet.members(entries, place.schema, known)]


def _document(place: Place, name: str) -> bytes | None:
    table = Identifier(place.schema, "config_documents")
    statement = "SELECT (document || jsonb_build_object('version', version))::text FROM {} WHERE name = %s"
    row = place.connection.execute(SQL(statement).format(table), [name]).fetchone()
    return None if row is None or row[0] is None else row[0].encode()


def _value(place: Place, statement: str, *params: object) -> object:
    row = place.connection.execute(statement.encode(), params or None).fetchone()
    return row[0] if row else None
