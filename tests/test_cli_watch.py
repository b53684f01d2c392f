"""watch: every version once, whatever happens to the server. Each watcher is a process of its own."""

from __future__ import annotations

import json
import os
import pty
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from commands import PROGRAM, refused
from editing import Editor
from programs import interrupt, started
from servers import Server

import hotconfig
from hotconfig.admin import Admin

Watch = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def watch() -> Iterator[Watch]:
    """Start `hotconfig watch`; ended by Ctrl-C, after which nothing is left of it but exit code 0."""
    with ExitStack() as stack:

        def start(url: str, *arguments: str) -> subprocess.Popen[str]:
            process = subprocess.Popen(
                [*PROGRAM, "watch", *arguments],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                env=os.environ | {"HOTCONFIG_DATABASE_URL": url},
            )
            stack.callback(end, process)
            return process

        yield start


def end(process: subprocess.Popen[str]) -> None:
    interrupt(process)
    rest, complaint = process.communicate(timeout=20)
    assert (process.returncode, rest) == (0, ""), complaint
    assert "Traceback" not in complaint


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().rstrip("\n")


def edit(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Version, document and domain of the next line of JSON."""
    told = json.loads(line(process))
    return told["version"], told["document"], told["domain"]


def test_every_version_once(watch: Watch, database: str, editor: Editor) -> None:
    """Those of the past after --since, then each as it is made."""
    since = editor.version()
    for temperature in (0.1, 0.2):
        editor.temperature(temperature)
    watcher = watch(database, "--since", str(since), "--json")
    expected = [(since + n, "profile/default", "ai_infra") for n in (1, 2)]
    assert [edit(watcher), edit(watcher)] == expected
    editor.temperature(0.3)
    editor.publish("own", '{"a": 1, "b": 2}')
    assert [edit(watcher) for _ in range(3)] == [
        (since + 3, "profile/default", "ai_infra"),
        (since + 4, "own", "a"),
        (since + 4, "own", "b"),
    ]


def test_text(watch: Watch, database: str, editor: Editor) -> None:
    """As history prints it: who and why, and the old and the new value; in JSON too."""
    editor.run("SELECT set_config('hotconfig.actor', 'bob', false), set_config('hotconfig.note', 'why', false)")
    version = editor.temperature(0.1)
    watcher = watch(database, "--since", str(version - 1))
    heading = line(watcher)
    assert heading.startswith(f"{version}  2")
    assert heading.endswith("  bob  profile/default  why")
    assert line(watcher) == "    ai_infra.llm_temperature: 0.7 -> 0.1"
    told = json.loads(line(watch(database, "--since", str(version - 1), "--json")))
    assert (told["version"], told["actor"], told["note"]) == (version, "bob", "why")
    assert told["changes"] == {"llm_temperature": {"old": 0.7, "new": 0.1}}


def test_part(watch: Watch, database: str, editor: Editor) -> None:
    """Only edits of the path, the profile or the document."""
    since = str(editor.version())
    with Admin(database) as admin:
        admin.create_profile("b")
        admin.update("b", {"ai_infra.llm_temperature": 0.1})
        version = admin.update("b", {"ai_infra.llm_max_tokens": 7}).version
    editor.publish("own", '{"a": 1}')
    temperature = watch(database, "ai_infra.llm_temperature", "--since", since, "--json", "--profile", "b")
    own = watch(database, "--since", since, "--json", "--document", "own")
    assert [edit(temperature)[0], edit(temperature)[0]] == [version - 2, version - 1]
    assert edit(own) == (version + 1, "own", "a")
    assert edit(watch(database, "--since", str(version), "--json")) == (version + 1, "own", "a")


def test_many_versions(watch: Watch, database: str, editor: Editor) -> None:
    """More than it reads at a time."""
    since = editor.version()
    editor.connection.execute("""
        DO $$ BEGIN FOR n IN 1..250 LOOP UPDATE config_ai_infra SET llm_max_tokens = n; COMMIT; END LOOP; END $$
    """)
    watcher = watch(database, "--since", str(since), "--json")
    assert [edit(watcher)[0] for _ in range(250)] == list(range(since + 1, since + 251))


def test_a_restart(watch: Watch, own_server: Server) -> None:
    """Edits made before, while it is away and after come once each; the loss is told once."""
    url = own_server.create_database("app")
    with Admin(url) as admin:
        since = admin.snapshot().version
        watcher = watch(url, "--since", str(since), "--json")
        for n in range(1, 4):
            admin.update(None, {"ai_infra.llm_max_tokens": n})
            assert edit(watcher)[0] == since + n
            own_server.stop()
            own_server.start()
            admin.close()
        admin.update(None, {"ai_infra.llm_max_tokens": 99})
        assert edit(watcher)[0] == since + 4
    interrupt(watcher)
    assert watcher.stderr is not None
    warnings = watcher.stderr.read().splitlines()
    assert 1 <= len(warnings) <= 6
    assert all(warning.startswith("warning: ") for warning in warnings)


def test_it_says_what_it_follows(database: str, editor: Editor) -> None:
    """On a terminal, at the start; a pipe gets nothing but the history, as the others of these tests see."""
    version = editor.temperature(0.1)
    ours, its = pty.openpty()
    command = [*PROGRAM, "watch", "ai_infra", "--profile", "default", "--database", database]
    with started(command, stdout=subprocess.DEVNULL, stderr=its) as process:
        os.close(its)
        with open(ours, encoding="utf-8") as shown:  # noqa: PTH123  # a descriptor
            said = shown.readline()
            interrupt(process)
    assert f'following ai_infra of profile "default" from version {version} on, until Ctrl-C' in said
    assert process.returncode == 0


def test_it_is_no_reader_of_a_document(watch: Watch, database: str, editor: Editor) -> None:
    """It stands in the fleet's registry, as one that follows the history."""
    version = editor.temperature(0.1)
    watcher = watch(database, "--since", str(version - 1), "--json")
    edit(watcher)
    (entry,) = [name for name in editor.registry() if name.startswith("hotconfig:")]
    assert entry.endswith(":(history)")


def test_what_cannot_be_watched(database: str) -> None:
    """It fails at the start, as other verbs do."""
    there = ("--database", database)
    assert "no version 99 yet" in refused(1, "watch", "--since", "99", *there)
    assert "is no path" in refused(2, "watch", "a..b", *there)
    assert "no profile 'b': there are 'default'" in refused(1, "watch", "--profile", "b", *there)
    assert "no document 'own': there is none" in refused(1, "watch", "--document", "own", *there)
    assert "nothing has a path ai_infra.heat" in refused(1, "watch", "ai_infra.heat", *there)
    assert "Next: check that the server runs" in refused(1, "watch", "--database", "postgresql://127.0.0.1:1/x")
    assert hotconfig.status().state in ("new", "closed")
