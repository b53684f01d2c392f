"""How a reader announces itself in pg_stat_activity, the fleet's registry; and two installations side by side."""

from __future__ import annotations

import os
import socket
from functools import partial

import pytest
from editing import Editor, eventually
from psycopg import sql

from hotconfig import Client, InvalidConfig, Snapshot, migrations

HERE = f"{socket.gethostname()[:20]}.{os.getpid()}"


def announced(editor: Editor, *names: str) -> bool:
    return editor.registry() == sorted(names)


class Strict(Snapshot):
    n: int


def test_a_reader_announces_the_version_it_has_seen(database: str, editor: Editor) -> None:
    """It moves on after every version, also when that changed another document."""
    with Client(database, heartbeat=1000) as client:
        eventually(partial(announced, editor, f"hotconfig:{editor.version()}:{HERE}:active"))
        for version in (editor.temperature(0.1), editor.publish("talker", "{}")):
            client.wait_for(version)
            eventually(partial(announced, editor, f"hotconfig:{editor.version()}:{HERE}:active"))
    eventually(partial(announced, editor))


def test_a_rejected_version_is_marked(database: str, editor: Editor) -> None:
    """An exclamation mark says that the newest version of its document did not validate there."""
    editor.publish("strict", '{"n": 1}')
    with Client(database, model=Strict, document="strict", heartbeat=1000) as client:
        bad = editor.publish("strict", '{"n": "one"}')
        with pytest.raises(InvalidConfig):
            client.wait_for(bad)
        eventually(partial(announced, editor, f"hotconfig:{bad}!:{HERE}:strict"))
        other = editor.publish("talker", "{}")
        eventually(partial(announced, editor, f"hotconfig:{other}!:{HERE}:strict"))
        good = editor.publish("strict", '{"n": 2}')
        eventually(partial(announced, editor, f"hotconfig:{good}:{HERE}:strict"))


def test_an_instance_may_have_a_name(database: str, editor: Editor, monkeypatch: pytest.MonkeyPatch) -> None:
    """HOTCONFIG_INSTANCE stands for host and pid; the whole is ASCII and cut at 63 bytes."""
    monkeypatch.setenv("HOTCONFIG_INSTANCE", "Büro-" + "x" * 70)
    with Client(database):
        name = f"hotconfig:{editor.version()}:B?ro-{'x' * 70}"[:63]
        eventually(partial(announced, editor, name))


@pytest.mark.parametrize("schema", ["team_b", 'Team "B"'])
def test_two_installations_do_not_wake_each_other(
    database: str, editor: Editor, statements: list[str], schema: str
) -> None:
    """Each schema has a channel of its own, whatever its name is made of; each client follows its own."""
    migrations.upgrade(database, schema=schema)
    publish = sql.SQL("SELECT {}.config_publish('talker', {})")

    def publish_there(json: str) -> int:
        editor.run(publish.format(sql.Identifier(schema), sql.Literal(json)))
        return int(editor.ask(sql.SQL("SELECT version FROM {}.config_state").format(sql.Identifier(schema))))

    there_version = publish_there('{"n": 1}')
    here = Client(database, heartbeat=1000)
    there = Client(database, model=Strict, document="talker", schema=schema, heartbeat=1000)
    with here, there:
        assert there.current().n == 1
        name = f"hotconfig:@{schema}:{there_version}:{HERE}:talker"[:63]
        names = f"hotconfig:{editor.version()}:{HERE}:active", name
        eventually(partial(announced, editor, *names))
        statements.clear()
        for n in (2, 3):
            assert there.wait_for(publish_there(f'{{"n": {n}}}')).n == n
        assert {schema.replace('"', '""') in each for each in statements if "config_state" in each} == {True}
        assert here.wait_for(editor.temperature(0.1)).ai_infra.llm_temperature == 0.1
        assert there.status().version == editor.ask(
            sql.SQL("SELECT version FROM {}.config_state").format(sql.Identifier(schema))
        )
