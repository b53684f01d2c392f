"""What leaves the tables, and what does not: no api_key, and no heartbeat."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from conftest import PATIENCE, Sql
from hotconfig import conninfo
from psycopg.sql import SQL, Identifier


@pytest.fixture
def listener(hotconfig_database: str) -> Iterator[Sql]:
    """Somebody who is notified of all that hotconfig's clients are."""
    with psycopg.connect(hotconfig_database, autocommit=True) as connection:
        connection.execute(SQL("LISTEN {}").format(Identifier(conninfo.channel("public"))))
        yield connection


def payloads(listener: Sql) -> list[str]:
    """Of the notifications so far: those before one of our own, since they come in the order of the commits."""
    listener.execute("SELECT pg_notify(%s, 'the last one')", [conninfo.channel("public")])
    found: list[str] = []
    for each in listener.notifies(timeout=PATIENCE):
        if each.payload == "the last one":
            return found
        found.append(each.payload)
    raise AssertionError("notifications are missing")


def rows(sql: Sql, *, customers: bool) -> str:
    """All rows of the customers, or of all other tables, as text."""
    named = sql.execute(
        """
        SELECT relname FROM pg_class
        WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND (relname = 'customers') = %s
    """,
        [customers],
    )
    return "\n".join(
        str(row)
        for (table,) in named.fetchall()
        for row in sql.execute(SQL("SELECT t::text FROM {} AS t").format(Identifier(table)))
    )


def test_no_api_key_anywhere(sql: Sql, listener: Sql) -> None:
    """In no document, notification or row of the history, nor in any other table: whatever happens to a customer."""
    changed = "c0ffee" * 10
    for statement in (
        "INSERT INTO customers (name, email, api_key) VALUES ('Dune', 'ops@dune.example', repeat('d', 64))",
        f"UPDATE customers SET api_key = '{changed}' WHERE name = 'Dune'",
        f"UPDATE customers SET api_key = '{changed}!', plan = 'startup', metadata = '{{\"a\": 1}}' WHERE name = 'Dune'",
        "UPDATE customers SET plan = 'enterprise'",
        "UPDATE customers SET status = 'suspended' WHERE name = 'Birch'",
        "UPDATE customers SET id = gen_random_uuid() WHERE name = 'Dune'",
    ):
        sql.execute(statement)
    keys = [key for (key,) in sql.execute("SELECT api_key FROM customers")] + [changed, "d" * 64]
    theirs, others = rows(sql, customers=True), rows(sql, customers=False)
    sql.execute("DELETE FROM customers WHERE name = 'Dune'")
    sql.execute("TRUNCATE customers CASCADE")
    others += rows(sql, customers=False)
    notified = payloads(listener)
    assert len(keys) == 6
    for key in keys:
        assert key not in others
        assert not [payload for payload in notified if key in payload]
    # What is searched has what it should have, and a key would be found.
    assert all(key in theirs for key in keys[:4])
    assert "http://cost-1:8000" in others
    assert "enterprise" in others
    for table in ("config_documents", "config_history"):
        assert sql.execute(SQL("SELECT count(*) > 0 FROM {}").format(Identifier(table))).fetchone() == (True,)
    assert len(notified) >= 5


@pytest.mark.parametrize(
    ("edit", "marks"),
    [
        ("UPDATE agents SET last_heartbeat = now(), updated_at = now()", 0),
        ("UPDATE agents SET version = '1.0.1', metadata = '{\"a\": 1}'", 0),
        ("UPDATE customers SET api_key = left(api_key, 40), email = upper(email), metadata = '{\"a\": 1}'", 0),
        ("UPDATE agents SET status = 'healthy', last_heartbeat = now()", 0),
        ("INSERT INTO events (customer_id, event_type) SELECT id, 'e' FROM customers", 0),
        ("UPDATE agents SET status = 'degraded', last_heartbeat = now() WHERE name = 'cost-1'", 1),
        ("UPDATE customers SET plan = 'startup' WHERE name = 'Acme'", 1),
    ],
)
def test_what_costs_something(sql: Sql, listener: Sql, edit: str, marks: int) -> None:
    """What is not published marks nothing, and so makes no version and notifies nobody; what is, marks the document."""
    version = "SELECT version FROM config_state"
    before = sql.execute(version).fetchone()
    with sql.transaction():
        sql.execute(edit)
        assert sql.execute("SELECT count(*) FROM config_dirty").fetchone() == (marks,)
    assert len(payloads(listener)) == marks
    assert (sql.execute(version).fetchone() == before) is (marks == 0)
