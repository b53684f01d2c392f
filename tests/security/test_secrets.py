"""A password is in no log, error, repr, status, output or title, whatever becomes of the connection."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from commands import run
from editing import Editor, eventually
from psycopg.conninfo import make_conninfo
from psycopg.sql import SQL, Identifier
from servers import Server

from hotconfig import Client, Unavailable
from hotconfig.admin import Admin
from hotconfig.conninfo import Conninfo, resolve

# At both ends of what has to be quoted in one way or another; in no name of ours.
MARK = "Sn0wy"
PASSWORD = f"{MARK}@:/?#[]%& ='\\\"ü{MARK}"
Form = Callable[[str, int, str, str], Conninfo]


def as_url(user: str, port: int, database: str, password: str) -> str:
    return f"postgresql://{user}:{quote(password, safe='')}@127.0.0.1:{port}/{database}"


FORMS: dict[str, Form] = {
    "URL": as_url,
    "SQLAlchemy": lambda *where: as_url(*where).replace("://", "+psycopg://"),
    "query": lambda user, port, database, password: (
        f"postgresql://{user}@127.0.0.1:{port}/{database}?password={quote(password, safe='')}"
    ),
    "keywords": lambda user, port, database, password: make_conninfo(
        host="127.0.0.1", port=port, user=user, dbname=database, password=password
    ),
    "callable": lambda *where: lambda: as_url(*where),
}


@pytest.fixture
def login(role: str, editor: Editor) -> str:
    """A role that may edit, with the password."""
    editor.run(SQL("ALTER ROLE {} PASSWORD {}").format(Identifier(role), PASSWORD))
    editor.run(SQL("GRANT hotconfig_editor TO {}").format(Identifier(role)))
    return role


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """Everything that anybody logs."""
    with caplog.at_level(logging.DEBUG):
        yield caplog


def chain(error: BaseException | None) -> Iterator[BaseException]:
    """The error, and all that is attached to it, hidden or not."""
    if error is not None:
        yield error
        yield from chain(error.__cause__)
        yield from chain(error.__context__)


def shown(error: BaseException) -> str:
    """All that a log or a tracker of errors shows of it."""
    told = [f"{each} {each!r}" for each in chain(error)]
    return "\n".join([*told, *traceback.format_exception(error)])


def printed(conninfo: Conninfo, monkeypatch: pytest.MonkeyPatch) -> str:
    """What the verbs print that report on a database; a callable cannot be given to them."""
    if callable(conninfo):
        return ""
    monkeypatch.setenv("HOTCONFIG_DATABASE_URL", conninfo)
    verbs = [["doctor"], ["show"], ["history"], ["profiles"], ["set", "genie.space_name=x"], ["watch", "--since", "x"]]
    done = [run(*verb, *json) for verb in verbs for json in ([], ["--json"])]
    return "".join(each.stdout + each.stderr for each in done)


def title() -> str:
    return "".join(Path(f"/proc/self/{name}").read_text(errors="replace") for name in ("cmdline", "comm"))


@pytest.mark.parametrize("form", FORMS)
def test_while_all_is_well(
    server: Server,
    database_name: str,
    login: str,
    editor: Editor,
    *,
    tmp_path: Path,
    form: str,
    log: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Neither the process nor the server shows it; it is the right one all the same."""
    conninfo = FORMS[form](login, server.port, database_name, PASSWORD)
    with Client(conninfo, cache=tmp_path / "cache") as client, Admin(conninfo) as admin:
        client.wait_for(admin.update(None, {"genie.space_name": "y"}).version)
        target = resolve(conninfo)
        told = (
            " ".join(map(repr, [client, client.status(), client._settings, client._run, admin, target])) + f"{target}"
        )
        activity = editor.connection.execute("SELECT * FROM pg_stat_activity").fetchall()
        history = editor.connection.execute("TABLE config_history").fetchall()
        output = printed(conninfo, monkeypatch)

    assert login in str(activity)
    assert (tmp_path / "cache").exists()
    kept = "".join(path.read_text(errors="replace") for path in tmp_path.rglob("*") if path.is_file())
    for text in (told, str(activity), str(history), output, log.text, server.log(), kept, title()):
        assert MARK not in text


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("wrong", ["password", "port", "database"])
def test_a_connection_that_fails(
    server: Server,
    database_name: str,
    login: str,
    *,
    form: str,
    wrong: str,
    log: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The error says what is wrong, with all that is attached to it, and not what was given."""
    conninfo = FORMS[form](
        login,
        1 if wrong == "port" else server.port,
        "nowhere" if wrong == "database" else database_name,
        f"not {PASSWORD}" if wrong == "password" else PASSWORD,
    )
    client = Client(conninfo)
    with pytest.raises(Unavailable) as started:
        client.start(timeout=20)
    with Admin(conninfo) as admin, pytest.raises(Unavailable) as read:
        admin.profiles()

    assert {"password": "password authentication failed", "port": "refused", "database": "nowhere"}[wrong] in str(
        started.value
    )
    for text in (shown(started.value), shown(read.value), f"{client!r} {client.status()!r}", log.text, title()):
        assert MARK not in text
    assert MARK not in printed(conninfo, monkeypatch) + server.log()


def test_a_password_that_changes(
    server: Server, database_name: str, login: str, editor: Editor, log: pytest.LogCaptureFixture
) -> None:
    """The old one is not told when it is refused, and a callable's new one brings the client back."""
    passwords = [PASSWORD]
    client = Client(lambda: as_url(login, server.port, database_name, passwords[-1]), heartbeat=0.1)
    with client:
        client.start()
        editor.run(SQL("ALTER ROLE {} PASSWORD {}").format(Identifier(login), f"new {PASSWORD}"))
        editor.terminate()
        eventually(lambda: "password authentication failed" in str(client.status().error))
        error = client.status().error
        assert error is not None
        passwords.append(f"new {PASSWORD}")
        eventually(lambda: client.status().healthy, timeout=40)

    assert "the link is back" in log.text
    assert MARK not in f"{shown(error)} {client.status()!r} {log.text} {server.log()}"


MALFORMED = [
    f"postgresql://alice:{PASSWORD}@127.0.0.1:1/app",
    *(
        f"postgresql://alice:{MARK}{sign}{MARK}@127.0.0.1:1/app"
        for sign in ["@", "/", "%", "%zz", "%00", " ", "\\@", "/?"]
    ),
    *(f"{scheme}://alice:{MARK}@127.0.0.1:1/app" for scheme in ["mysql", "postgresq", "postgresql-psycopg", "jdbc:pg"]),
    f"postgresql:/alice:{MARK}@127.0.0.1/app",
    f'"postgresql://alice:{MARK}@127.0.0.1/app"',
    f"postgresql://alice:{MARK}",
    f"postgresql://alice:{MARK}/app",
    f"postgresql://alice:{MARK}@[::1/app",
    f"postgresql://alice:{MARK}@127.0.0.1:port/app",
    f"postgresql://alice@127.0.0.1/app?passwrd={MARK}",
    f"postgresql://alice@127.0.0.1/app?password={MARK}&{MARK}",
    f"host=127.0.0.1 password='{MARK}",
    f"host=127.0.0.1 password={MARK} {MARK}",
    f"host=127.0.0.1 passwrd={MARK}",
    f"host=127.0.0.1 dbname=postgresql://alice:{MARK}@127.0.0.1/app",
    MARK,
]


@pytest.mark.parametrize("given", ["argument", "environment", "callable"])
@pytest.mark.parametrize("conninfo", MALFORMED)
def test_an_address_that_is_malformed(
    conninfo: str, given: str, log: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is refused without being repeated, nor any part of it in which a password may be."""
    arguments: dict[str, Conninfo | None] = {"argument": conninfo, "environment": None, "callable": lambda: conninfo}
    argument = arguments[given]
    if given == "environment":
        monkeypatch.setenv("DATABASE_URL", conninfo)
    with pytest.raises((ValueError, Unavailable), match="right is for example") as started:
        Client(argument).start()
    with pytest.raises((ValueError, Unavailable), match="right is for example") as read, Admin(argument) as admin:
        admin.profiles()

    for error in (started.value, read.value):
        assert MARK not in f"{error} {error!r} {''.join(traceback.format_exception(error))}"
    assert MARK not in log.text
    if given == "argument":
        assert MARK not in run("show", "--database", conninfo).stderr
