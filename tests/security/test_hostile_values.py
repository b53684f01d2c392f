"""Hostile values go through as data, or are refused in clear words; never anything between."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path

import psycopg
import pytest
from commands import out, printed
from conftest import Connect
from editing import Editor, eventually
from sessions import add_profile, document, history, version

from hotconfig import Change, Client, InvalidConfig, Prompts, Snapshot
from hotconfig.admin import Admin

MEGABYTE = "'\"\\ \n{0.__class__}\u202e" * 50_000
VALUES = {
    "quotes": """' " '' "" ` $$ $1 :x \\ \\\\ \\' E'\\x41'""",
    "SQL": "x'; DROP TABLE config_state; --",
    "escapes": r"\u0000 \x00 \0 \N \. &#0; %00",
    "templates": "{0.__class__} {question.__init__.__globals__} {{7*7}} ${jndi:ldap://x} %(x)s %n <%= 1 %> {!r}",
    "JSON": '"}, "version": 99, "profile": {"is_default": true',
    "bidirectional": "a\u202eb\u2066c\u2069\u200f\u200bd\ufeff",
    "controls": "".join(map(chr, range(1, 32))) + "\x7f\x80\x9b\u2028\u2029",
    "Unicode": "e\u0301\u00e9 \U0001f469\u200d\U0001f4bb \uffff \U0010ffff \ue000 İıß" + "\u0301" * 10_000,
    "a megabyte": MEGABYTE,
}


class Own(Snapshot):
    value: object = None
    named: Mapping[str, object] = {}


@pytest.mark.parametrize("way", ["SQL", "Admin", "set"])
@pytest.mark.parametrize("kind", VALUES)
def test_a_value_is_data(
    database: str, editor: Editor, tmp_path: Path, caplog: pytest.LogCaptureFixture, *, kind: str, way: str
) -> None:
    """A prompt arrives as it was written, whoever wrote it; the history has it, and the log has not."""
    prompt = VALUES[kind]
    old = editor.ask("SELECT system_prompt FROM config_prompts")
    with Client(database) as client, caplog.at_level(logging.DEBUG):
        if way == "SQL":
            editor.run("UPDATE config_prompts SET system_prompt = %s", [prompt])
        elif way == "Admin":
            with Admin(database) as admin:
                admin.update(None, {"prompts.system_prompt": prompt})
        else:
            (tmp_path / "prompt").write_bytes(prompt.encode())
            out("set", f"prompts.system_prompt=@{tmp_path / 'prompt'}", "--database", database)
        snapshot = client.wait_for(editor.version())

    assert snapshot.prompts.system_prompt == prompt
    assert history(editor.connection, "changes") == [({"system_prompt": {"old": old, "new": prompt}},)]
    assert printed("show", "prompts.system_prompt", "--database", database)["value"] == prompt
    assert prompt not in caplog.text


@pytest.mark.parametrize("kind", VALUES)
def test_a_template_is_filled_and_not_run(database: str, editor: Editor, kind: str) -> None:
    """Neither what the template has besides {question} nor what is put in means anything."""
    template, question = VALUES[kind] + "{question}", VALUES[kind]
    editor.run("UPDATE config_prompts SET user_prompt_template = %s", [template])
    with Client(database) as client:
        filled = Prompts.fill(client.current().prompts.user_prompt_template, question=question)
    assert filled == VALUES[kind] + VALUES[kind]


NAMES = [
    *["%", "_", "..", "a/b", "active", "profile/default", "default ", "x'; --", '"', "\\", "\u202e", "a\nb", "\x1b[2J"],
    *["{0.__class__}", "😀" * 100],
]


@pytest.mark.parametrize("name", NAMES)
def test_the_name_of_a_profile_is_data(database: str, editor: Editor, name: str) -> None:
    """It is followed, found in the history and removed under this name, and the default profile is left alone."""
    before = document(editor.connection)
    profile = add_profile(editor.connection, name)
    with Client(database, profile=name) as client:
        assert client.current().profile.name == name
        editor.run("UPDATE config_ai_infra SET llm_max_tokens = 7 WHERE profile_id = %s", [profile])
        assert client.wait_for(editor.version()).ai_infra.llm_max_tokens == 7
        assert history(editor.connection) == [(f"profile/{name}", "ai_infra", "update")]
        eventually(lambda: editor.acknowledged(editor.version()))
        (shown,) = editor.registry()
        assert shown.isascii()
    with Admin(database) as admin:
        assert admin.snapshot(name).profile.name == name
        admin.delete_profile(name)
    assert document(editor.connection, f"profile/{name}") is None
    assert document(editor.connection) == before


KEYS = ["", "a.b", 'q"', "__class__", "__proto__", "model_config", "version", "\u202e", "x" * 10_000]


def test_keys_are_data(database: str, editor: Editor) -> None:
    """Those of a mapping are kept and named in paths; those that are no field are ignored, whatever they are called."""
    given = {"named": dict.fromkeys(KEYS, 1), **{key: {"__init__": 1} for key in {*KEYS} - {"version"}}}
    editor.publish("own", json.dumps(given))
    told: list[Change[Own]] = []
    with Client(database, document="own", model=Own) as client:
        assert (dict(client.current().named), type(client.current())) == (given["named"], Own)
        client.subscribe(told.append)
        given["named"] = dict.fromkeys(KEYS, 2)
        client.wait_for(editor.publish("own", json.dumps(given)))
        eventually(lambda: told)
    steps = sorted('"' + key.replace('"', '""') + '"' if {*key} & {*'."'} or not key else key for key in KEYS)
    assert told[0].paths == tuple(f"named.{step}" for step in steps)


@pytest.mark.parametrize(
    ("json_", "rule"),
    [
        ("[" * 1000 + "]" * 1000, "recursion limit"),
        ('{"a":' * 1000 + "1" + "}" * 1000, "recursion limit"),
        ("9" * 5000, "number out of range"),
    ],
    ids=["lists", "objects", "digits"],
)
def test_json_that_cannot_be_read(database: str, editor: Editor, json_: str, rule: str) -> None:
    """It is rejected in a line, the last snapshot serves on, and the next good one is taken."""
    editor.publish("own", '{"value": 1}')
    with Client(database, document="own", model=Own) as client:
        bad = editor.publish("own", f'{{"value": {json_}}}')
        with pytest.raises(InvalidConfig, match=rule) as refused:
            client.wait_for(bad)
        assert len(str(refused.value)) < 300
        assert (client.current().value, client.status().rejected_version) == (1, bad)

        assert client.wait_for(editor.publish("own", '{"value": 2}')).value == 2
        assert client.status().healthy


PUBLISH = "SELECT config_publish('own', {})"
UPDATE = "UPDATE config_prompts SET system_prompt = {}"
REFUSED = [
    UPDATE.format("chr(0)"),
    UPDATE.format("E'a\\000b'"),
    UPDATE.format("convert_from('\\x00', 'UTF8')"),
    UPDATE.format("convert_from('\\xff', 'UTF8')"),
    UPDATE.format("convert_from('\\xeda080', 'UTF8')"),  # half of a pair of UTF-16
    PUBLISH.format('\'{"a": "\\u0000"}\''),
    PUBLISH.format("'{\"\\u0000\": 1}'"),
    PUBLISH.format('\'{"a": "\\ud800"}\''),
    PUBLISH.format("'{\"a\": NaN}'"),
    PUBLISH.format("(repeat('[', 100000) || repeat(']', 100000))::jsonb"),
    PUBLISH.format("'{\"version\": 99}'"),
]


@pytest.mark.parametrize("statement", REFUSED)
def test_what_is_no_text(connect: Connect, statement: str) -> None:
    """A NUL, half a character, what is no JSON: the database refuses it, and nothing is changed."""
    owner = connect()
    before = version(owner), document(owner)
    with pytest.raises((psycopg.DataError, psycopg.OperationalError, psycopg.IntegrityError)):
        owner.execute(statement.encode())
    assert (version(owner), document(owner)) == before
