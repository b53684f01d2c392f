"""Which triggers ought to be there, and which of them are not, or are disabled."""

from __future__ import annotations

from dataclasses import dataclass

import psycopg
from psycopg.sql import SQL, Identifier, Literal

MARKS = ("config_mark", "config_mark_update", "config_mark_truncate")
SETTINGS = ("config_ai_infra", "config_genie_spaces", "config_mlflow", "config_prompts")
BUILT_IN = {
    "config_profiles": ("config_stamp", "config_keep_default", "config_keep_default_truncate", *MARKS),
    **dict.fromkeys(SETTINGS, ("config_stamp", *MARKS)),
    "config_dirty": ("config_at_commit",),
    "config_history": ("config_history_append_only",),
}

# By name, since a cast to regclass raises where the role may not look. The trigger's name is config_trigger_name()'s in
# sql/, which not every role may call.
WATCHED = SQL("""
    SELECT schema, "table", document, 'config_mark_' || left(md5({} || ' ' || document), 12), function,
           coalesce('ARRAY[' || (SELECT string_agg(quote_literal(c), ', ') FROM unnest(columns) AS c) || ']', 'NULL'),
           EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                   WHERE n.nspname = schema AND c.relname = "table"),
           EXISTS (SELECT FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
                   WHERE format('%I.%I()', n.nspname, p.proname) = function)
    FROM {} WHERE document <> 'profile/*' ORDER BY 1, 2, 3
""")
FOUND = """
    SELECT n.nspname, c.relname, t.tgname, t.tgenabled IN ('O', 'A')
    FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE NOT t.tgisinternal AND starts_with(t.tgname, 'config_')
"""


@dataclass(frozen=True, slots=True)
class Broken:
    """What does not fire."""

    names: list[str]
    """`table.trigger is disabled`, for people."""
    mends: list[str]
    """Statements that repair them."""
    expected: int


def broken(connection: psycopg.Connection, schema: str, *, sources: bool) -> Broken:
    """The triggers that do not fire; those of tables of one's own only if `sources`, the right to see which, is had."""
    enabled = {(row[0], row[1], row[2]): bool(row[3]) for row in connection.execute(FOUND)}
    expected = {
        (schema, table, name): _restored(schema, table, name) for table, names in BUILT_IN.items() for name in names
    }
    gone, mends = dict[str, None](), dict[str, None]()
    if sources:
        statement = WATCHED.format(Literal(schema), Identifier(schema, "config_sources"))
        for where, table, document, trigger, function, columns, there, built in connection.execute(statement):
            if not built:
                gone[f"{function}, which builds {document}, is gone"] = None
                mends[_let_go(schema, document)] = None
            elif not there:
                gone[f"{_shown(schema, where, table)}, which is watched for {document}, is gone"] = None
                mends[_forgotten(schema, (where, table), document)] = None
            else:
                mend = _watched_again(schema, (where, table), document, function, columns)
                expected |= {(where, table, trigger + suffix): mend for suffix in ("", "_update", "_truncate")}
    names = list(gone)
    for (where, table, trigger), mend in expected.items():
        shown = _shown(schema, where, table)
        if (where, table, trigger) not in enabled:
            names.append(f"{shown}.{trigger} is missing")
            mends[mend] = None
        elif not enabled[where, table, trigger]:
            names.append(f"{shown}.{trigger} is disabled")
            enable = SQL("ALTER TABLE {} ENABLE TRIGGER {};")
            mends[enable.format(_table(schema, where, table), Identifier(trigger)).as_string()] = None
    return Broken(names, list(mends), len(expected))


def _shown(schema: str, where: str, table: str) -> str:
    return table if where == schema else f"{where}.{table}"


def _table(schema: str, where: str, table: str) -> Identifier:
    return Identifier(table) if where == schema == "public" else Identifier(where, table)


def _restored(schema: str, table: str, trigger: str) -> str:
    if trigger not in MARKS:
        return f"run the CREATE TRIGGER {trigger} that `hotconfig migrate --sql` prints;"
    placed = _table(schema, schema, table)
    drops = [SQL("DROP TRIGGER IF EXISTS {} ON {};").format(Identifier(name), placed) for name in MARKS]
    install = SQL("SELECT {}({}, 'config_mark', 'config_mark_profile', {}, NULL);").format(
        _table(schema, schema, "config_install_triggers"),
        Literal(placed.as_string()),
        Literal("id" if table == "config_profiles" else "profile_id"),
    )
    return SQL(" ").join([*drops, install]).as_string()


def _let_go(schema: str, document: str) -> str:
    call = SQL("SELECT {}({});").format(_table(schema, schema, "config_unwatch_document"), Literal(document))
    return f"{call.as_string()} and publish it again, as at first;"


def _forgotten(schema: str, table: tuple[str, str], document: str) -> str:
    return (
        SQL('DELETE FROM {} WHERE (schema, "table", document) = ({}, {}, {});')
        .format(_table(schema, schema, "config_sources"), Literal(table[0]), Literal(table[1]), Literal(document))
        .as_string()
    )


def _watched_again(schema: str, table: tuple[str, str], document: str, function: str, columns: str) -> str:
    placed = Literal(_table(schema, *table).as_string())
    watch = SQL("SELECT {}({}, {}, {}, {});").format(
        _table(schema, schema, "config_watch"), placed, Literal(document), Literal(function), SQL(columns)
    )
    return f"{_forgotten(schema, table, document)} {watch.as_string()}"
