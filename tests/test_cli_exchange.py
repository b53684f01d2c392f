"""export and import: files for Git, what they say of mistakes, and whom they ask."""

from __future__ import annotations

import io
import json
import os
import stat
from pathlib import Path

import pytest
import yaml
from commands import on_a_terminal, out, printed, program, refused, run, screen
from editing import Editor
from servers import Server

from hotconfig.admin import Admin
from hotconfig.cli.exchange import import_
from hotconfig.errors import VersionConflict

TEMPERATURE = "ai_infra.llm_temperature"


@pytest.fixture(autouse=True)
def _where(database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOTCONFIG_DATABASE_URL", database)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def version(editor: Editor) -> int:
    """Of the default profile at the beginning."""
    return editor.version()


@pytest.fixture
def config(version: int) -> Path:
    """An export of the default profile, with another temperature."""
    out("export", "config.yaml")
    return replace("config.yaml", "llm_temperature: 0.7", "llm_temperature: 0.2")


def replace(name: str, old: str, new: str) -> Path:
    file = Path(name)
    text = file.read_text("utf-8")
    assert old in text
    file.write_text(text.replace(old, new, 1), "utf-8")
    return file


# ---- export


def test_export(admin: Admin) -> None:
    """YAML, or what the name says; prompts are blocks."""
    assert out("export", "config.yaml") == "1 profile -> config.yaml\n"
    out("export", "config.json")
    text = Path("config.yaml").read_text("utf-8")
    assert text.startswith(
        'hotconfig: 1\ndefault: "default"\nprofiles:\n  default:\n    description: ""\n    ai_infra:\n'
    )
    assert "      llm_temperature: 0.7\n" in text
    assert "      system_prompt: |-\n        " in text
    assert yaml.safe_load(text) == json.loads(Path("config.json").read_text("utf-8")) == admin.export()


def test_export_to_standard_output() -> None:
    """The text and nothing else."""
    out("export", "config.yaml")
    out("export", "config.json")
    assert out("export") == out("export", "-") == Path("config.yaml").read_text("utf-8")
    assert out("export", "--format", "json") == out("export", "--json") == Path("config.json").read_text("utf-8")


def test_export_again(admin: Admin) -> None:
    """It replaces the file at once, leaves nothing beside it, and lets others read it as they may any other."""
    out("export", "config.yaml")
    Path("link.yaml").symlink_to("config.yaml")
    admin.update(None, {TEMPERATURE: 0.2})
    assert printed("export", "link.yaml") == {"file": "link.yaml", "profiles": ["default"]}
    assert "llm_temperature: 0.2" in Path("config.yaml").read_text("utf-8")
    assert sorted(os.listdir()) == ["config.yaml", "link.yaml"]  # noqa: PTH208
    Path("other").touch()
    assert stat.S_IMODE(Path("config.yaml").stat().st_mode) == stat.S_IMODE(Path("other").stat().st_mode)


def test_export_of_some(admin: Admin) -> None:
    """--profile, again and again."""
    for name in ("b", "c"):
        admin.create_profile(name)
    assert list(yaml.safe_load(out("export", "--profile", "c", "--profile", "b"))["profiles"]) == ["b", "c"]
    assert "no profile 'd'" in refused(1, "export", "--profile", "d")


def test_export_of_an_incomplete_profile(editor: Editor) -> None:
    """It warns on the other stream."""
    editor.run("INSERT INTO config_profiles (name) VALUES ('half')")
    done = run("export", "config.yaml")
    assert done.exit_code == 0
    assert done.stderr.startswith('warning: profile "half" has no ai_infra and no genie and no mlflow and no prompts')


@pytest.mark.parametrize(
    ("code", "arguments", "told"),
    [(1, ["no/such/x.yaml"], "No such file or directory"), (2, ["--format", "toml"], "there are yaml and json")],
)
def test_export_misused(code: int, arguments: list[str], told: str) -> None:
    """A notation that there is not is a matter of usage, a file that cannot be written is not."""
    assert told in refused(code, "export", *arguments)


# ---- import


def test_import(config: Path, version: int) -> None:
    """One version of all that differs, with who and why."""
    assert out("import", str(config), "--yes", "--by", "ci", "--note", "4f2a").splitlines() == [
        f'profile "default": version {version} -> {version + 1}',
        "    ai_infra.llm_temperature: 0.7 -> 0.2",
    ]
    edit = json.loads(out("history", "--limit", "1", "--json"))
    assert (edit["actor"], edit["note"]) == ("ci", "4f2a")
    assert out("import", str(config), "--yes") == f"version {version + 1}, nothing differs\n"


@pytest.mark.parametrize("name", ["config.yaml", "config.json", "config"])
def test_import_of_an_export(name: str, version: int) -> None:
    """Nothing differs; from standard input neither."""
    out("export", name)
    assert out("import", name, "--yes") == f"version {version}, nothing differs\n"
    assert out("import", "-", "--yes", stdin=Path(name).read_bytes()) == f"version {version}, nothing differs\n"


def test_import_as_json(config: Path, version: int) -> None:
    """One object."""
    told = printed("import", str(config), "--yes")
    assert (told["version"], told["dry_run"]) == (version + 1, False)
    assert told["profiles"] == [{"profile": "default", "old_version": version}]
    assert told["edits"][0]["changes"] == {"llm_temperature": {"old": 0.7, "new": 0.2}}


def test_dry_run(config: Path, version: int, editor: Editor) -> None:
    """It needs no --yes, shows the same, and saves nothing."""
    said = out("import", str(config), "--dry-run")
    assert said.startswith(f'profile "default": version {version} -> {version + 1}, dry run: nothing was saved\n')
    assert "0.7 -> 0.2" in said
    assert editor.version() == version


def test_prune(admin: Admin, version: int) -> None:
    """Profiles that the file does not name go, and that is said; without it they stay."""
    out("export", "config.yaml")
    admin.create_profile("b")
    assert "nothing differs" in out("import", "config.yaml", "--yes")
    said = out("import", "config.yaml", "--yes", "--prune")
    assert said.startswith(f'profile "b": version {version + 1} -> {version + 2}, delete\n')
    assert [each.name for each in admin.profiles()] == ["default"]


def test_a_new_profile(version: int) -> None:
    """It is one line, since its settings are in the file."""
    out("export", "config.yaml", "--profile", "default")
    replace("config.yaml", "  default:", "  b:")
    assert out("import", "config.yaml", "--yes") == f'profile "b": version 0 -> {version + 1}, create\n'


def test_conflict(config: Path, version: int, editor: Editor) -> None:
    """Exit code 4 when a profile of the file has changed since."""
    editor.tokens(5)
    line = refused(4, "import", str(config), "--yes", "--expect-version", str(version))
    assert "by postgres: ai_infra.llm_max_tokens 60000 -> 5" in line


def test_somebody_must_be_asked(config: Path, version: int, editor: Editor) -> None:
    """Without a terminal --yes is needed."""
    assert "add --yes" in refused(2, "import", str(config))
    code, shown = on_a_terminal("import", str(config), "--json")
    assert (code, "add --yes" in shown) == (2, True)
    assert editor.version() == version


@pytest.mark.parametrize(("typed", "code", "temperature"), [("y\n", 0, "0.2"), ("n\n", 1, "0.7")])
def test_it_asks_on_a_terminal(config: Path, typed: str, code: int, temperature: str) -> None:
    """It shows what would change first; no changes nothing."""
    done, shown = on_a_terminal("import", str(config), typed=typed)
    assert done == code, shown
    before, asked, after = shown.partition("Import this?")
    assert asked
    assert "llm_temperature" in before
    assert ("nothing was changed" in after) == (code == 1)
    assert out("show", TEMPERATURE) == f"{temperature}\n"


@pytest.mark.parametrize("arguments", [("export", "config.yaml"), ("import", "config.yaml", "--yes")])
def test_a_bar_on_a_terminal(version: int, arguments: tuple[str, ...]) -> None:
    """It says what is being done, and is gone in the end; where nobody looks there is none."""
    out("export", "config.yaml")
    piped = program(*arguments)
    code, shown = on_a_terminal(*arguments)
    assert (code, piped.returncode, piped.stderr) == (0, 0, "")
    assert f"{arguments[0]}ing" in shown
    assert "━" in shown
    assert screen(shown) == piped.stdout.splitlines()


def test_an_edit_while_somebody_is_asked(config: Path, editor: Editor, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was not shown is not overwritten."""

    def confirm(*_: object) -> bool:
        editor.tokens(5)
        return True

    monkeypatch.setattr("typer.confirm", confirm)
    monkeypatch.setattr("sys.stdin", Terminal())
    with pytest.raises(VersionConflict, match="llm_max_tokens 60000 -> 5"):
        import_(str(config))
    assert out("show", TEMPERATURE) == "0.7\n"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


# ---- mistakes


@pytest.mark.parametrize(
    ("old", "new", "line", "told"),
    [
        ("hotconfig: 1", "hotconfig: 2", 1, "hotconfig: this is format 2, and this hotconfig reads 1: upgrade"),
        ('default: "default"', "default: other", 2, "default: must be the name of one of the profiles here"),
        ('description: ""', "", 4, 'profile "default": description: is required'),
        ('description: ""', "description: 5", 5, 'profile "default": description: 5: Input should be a valid string'),
        ("llm_temperature: 0.7", "temperature: 0.7", 6, 'profile "default": ai_infra.llm_temperature: is required'),
        ("llm_temperature: 0.7", "llm_temperature: 1.5", 8, 'profile "default": ai_infra.llm_temperature: 1.5: Input'),
        ("llm_temperature: 0.7", 'llm_temperature: "0.7"', 8, 'profile "default": ai_infra.llm_temperature: "0.7": '),
        (
            "llm_temperature: 0.7",
            "llm_endpoint: x",
            8,
            'profile "default": ai_infra.llm_endpoint: is there twice, before',
        ),
        ("llm_temperature: 0.7", "llm_temperature: [0.7", 9, "no YAML: "),
        ("    genie:", "    jinn:", 10, 'profile "default": jinn: is not known here'),
    ],
)
def test_a_mistake(old: str, new: str, line: int, told: str, editor: Editor) -> None:
    """Its line says file, line, profile, field and rule; nothing is saved."""
    version = editor.version()
    out("export", "config.yaml")
    replace("config.yaml", old, new)
    done = run("import", "config.yaml", "--yes")
    assert (done.exit_code, done.stdout) == (1, "")
    assert f"config.yaml:{line}: {told}" in done.stderr
    assert editor.version() == version


def test_all_mistakes(version: int, editor: Editor) -> None:
    """Each is a line, in the order of the file; as JSON they are one message."""
    out("export", "config.json")
    replace("config.json", '"llm_temperature": 0.7', '"llm_temperature": 7')
    replace("config.json", '"/Workspace', '"Workspace')
    replace("config.json", '"default": "default"', '"default": "x", "more": 1')
    done = run("import", "config.json", "--yes")
    assert (done.exit_code, done.stdout) == (1, "")
    lines = done.stderr.splitlines()
    assert [line.partition(": ")[2].split(": ")[0] for line in lines[:4]] == [
        *["config.json:3", "config.json:3", "config.json:9", "config.json:18"]
    ]
    assert lines[4:] == ["error: nothing was saved: config.json has 4 mistakes"]
    told = json.loads(run("import", "config.json", "--yes", "--json").stderr)
    assert told["error"] == "InvalidConfig"
    assert told["message"].count("config.json:") == 4
    assert editor.version() == version


@pytest.mark.parametrize("name", ["empty.yaml", "list.yaml", "text"])
def test_other_files(name: str) -> None:
    """What is no export says so."""
    Path(name).write_text({"empty.yaml": "", "list.yaml": "- a\n"}.get(name, "hello"), "utf-8")
    assert f"{name}:1: the whole: must be an object" in refused(1, "import", name, "--yes")


def test_no_file() -> None:
    """A matter of usage."""
    assert "nosuch.yaml: No such file or directory" in refused(2, "import", "nosuch.yaml", "--yes")


def test_not_migrated(config: Path, server: Server) -> None:
    """It names the command that mends it."""
    line = refused(1, "import", str(config), "--yes", "--database", server.url("postgres"))
    assert "run `hotconfig migrate`" in line
