"""What doctor finds of the documents: whether they are as their tables, and whether processes can use them."""

from __future__ import annotations

import functools
import os
import shlex

import psycopg
from psycopg.sql import SQL, Identifier

from hotconfig._content import ACTIVE, PROFILE, missing, parse
from hotconfig._drift import drifted_documents, drifted_profiles
from hotconfig._engine import engine, translated
from hotconfig._place import OK, PATIENCE, SETTINGS, Place, Told, in_transaction
from hotconfig.errors import InvalidConfig
from hotconfig.profile import ProfileConfig

# The subscription that brings the documents, and whether its worker runs.
REPLICATED = """
    SELECT quote_ident(s.subname),
           EXISTS (SELECT FROM pg_stat_subscription w WHERE w.subid = s.oid AND w.pid IS NOT NULL)
    FROM pg_subscription_rel r JOIN pg_subscription s ON s.oid = r.srsubid
    JOIN pg_class c ON c.oid = r.srrelid JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = %s AND c.relname = 'config_documents' LIMIT 1
"""
NAMES = "SELECT name FROM {} WHERE document IS NOT NULL"
# Documents of one's own that no table is watched for.
BY_HAND = """
    SELECT name FROM {} WHERE document IS NOT NULL AND name <> 'active' AND name NOT LIKE 'profile/%%'
    EXCEPT SELECT document FROM {} ORDER BY 1
"""


def documents(place: Place) -> Told:
    replicated = place.connection.execute(REPLICATED, [place.schema]).fetchone()
    if replicated is not None:
        return _from_elsewhere(*replicated)
    if not place.may("SELECT", *SETTINGS, "config_sources"):
        text = "not compared with the tables, which this role may not read"
        return "warning", text, "run doctor as a member of hotconfig_editor"
    with translated(place.target, place.schema, "hotconfig_editor"):
        drifted = drifted_profiles(engine(place.target, place.schema), PATIENCE)
    return in_transaction(functools.partial(_own_documents, drifted=drifted))(place)


def _from_elsewhere(name: str, works: bool) -> Told:
    """Of a region: its documents are another server's, and its tables of settings are empty."""
    if works:
        return OK, f"replicated from another server, by subscription {name}", ""
    text = f"replicated from another server, but subscription {name} does not work: nothing arrives"
    return "warning", text, f"ALTER SUBSCRIPTION {name} ENABLE; or see the log of this server, why it stops"


def _own_documents(place: Place, *, drifted: list[str]) -> Told:
    own, errors = drifted_documents(place.connection, place.schema)
    # A superuser may everything: there it is the function that may not. One that writes may do so at a commit.
    denied = psycopg.errors.ReadOnlySqlTransaction, psycopg.errors.InsufficientPrivilege
    tried = denied[:1] if place.value("SHOW is_superuser") == "on" else denied
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


def default(place: Place) -> Told:
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


def profiles(place: Place) -> Told:
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


def _document(place: Place, name: str) -> bytes | None:
    table = Identifier(place.schema, "config_documents")
    statement = "SELECT (document || jsonb_build_object('version', version))::text FROM {} WHERE name = %s"
    row = place.connection.execute(SQL(statement).format(table), [name]).fetchone()
    return None if row is None or row[0] is None else row[0].encode()
