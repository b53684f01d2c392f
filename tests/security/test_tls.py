"""TLS: with sslmode=verify-full nothing is believed that a server says who cannot prove who it is."""

from __future__ import annotations

import datetime
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from certificates import DAY, Authority
from commands import refused
from editing import Editor, eventually
from servers import PASSWORD, TEMPLATE, Server, running

from hotconfig import Client, Unavailable
from hotconfig.admin import Admin

DEBIAN = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
Url = Callable[..., str]


def install(authority: Authority, server: Server, until: datetime.timedelta = DAY) -> None:
    """Give the server a certificate for `localhost`, valid until so long after now."""
    private, certificate = authority.issue("localhost", until)
    for name, content in (("server.key", private), ("server.crt", certificate)):
        path = server.data / name
        path.unlink(missing_ok=True)
        path.touch(mode=0o600)
        path.write_bytes(content)
        if server.account is not None:
            os.chown(path, server.account.pw_uid, server.account.pw_gid)
    server.signal(signal.SIGHUP)


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


@pytest.fixture(scope="module")
def shared() -> Iterator[Server]:
    """A server with TLS, which the one in the wheel is built without."""
    if not DEBIAN:
        pytest.skip("no PostgreSQL with TLS here: apt-get install postgresql")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TEST_POSTGRES", DEBIAN[-1].parents[1].name)
        with running() as server:
            yield server


@pytest.fixture
def tls(shared: Server, authority: Authority) -> Server:
    """It has the right certificate, and takes nobody over TCP without TLS."""
    install(authority, shared)
    (shared.data / "pg_hba.conf").write_text("local all all trust\nhostssl all all all scram-sha-256\n")
    shared.psql("postgres", "ALTER SYSTEM SET ssl = on")
    reloaded(shared)
    return shared


def reloaded(server: Server) -> None:
    """The server has read its files again: it shows the certificate that lies there now."""
    before = server.psql("postgres", "SELECT pg_conf_load_time()")
    server.psql("postgres", "SELECT pg_reload_conf()")
    eventually(lambda: server.psql("postgres", "SELECT pg_conf_load_time()") != before)


@pytest.fixture
def root(tmp_path: Path, authority: Authority) -> Path:
    path = tmp_path / "root.crt"
    path.write_bytes(authority.certificate)
    return path


@pytest.fixture
def url(tls: Server, root: Path) -> Url:
    """The address of the template, checked in full; with another host, or another file of who is believed."""

    def url(host: str = "localhost", root: Path = root, scheme: str = "postgresql") -> str:
        where = f"{scheme}://postgres:{PASSWORD}@{host}:{tls.port}/{TEMPLATE}"
        return f"{where}?hostaddr=127.0.0.1&sslmode=verify-full&sslrootcert={root}"

    return url


@pytest.mark.parametrize("scheme", ["postgresql", "postgresql+psycopg"])
def test_the_right_server(tls: Server, url: Url, scheme: str) -> None:
    """Edits arrive over TLS, and the writing side comes through too."""
    with psycopg.connect(tls.url(TEMPLATE), autocommit=True) as connection, Client(url(scheme=scheme)) as client:
        editor = Editor(connection)
        (reader,) = editor.readers()
        assert editor.ask("SELECT ssl FROM pg_stat_ssl WHERE pid = %s", [reader])
        with Admin(url(scheme=scheme)) as admin:
            edited = admin.update(None, {"ai_infra.llm_max_tokens": client.current().ai_infra.llm_max_tokens + 1})
        assert client.wait_for(edited.version).version == edited.version
        assert client.status().healthy


@pytest.mark.parametrize("wrong", ["authority", "namesake", "host", "date", "no file"])
def test_a_wrong_server(tls: Server, url: Url, tmp_path: Path, wrong: str) -> None:
    """Its certificate is refused in words that say what to do, by all who connect; nothing is served."""
    other = tmp_path / "other.crt"
    address, says = url(), "certificate verify failed"
    if wrong == "authority":
        other.write_bytes(Authority("another").certificate)
        address = url(root=other)
    elif wrong == "namesake":
        other.write_bytes(Authority().certificate)
        address, says = url(root=other), "SSL error"
    elif wrong == "host":
        address, says = url(host="db.example.com"), '"localhost" does not match host name "db.example.com"'
    elif wrong == "date":
        late = Authority()
        install(late, tls, until=-DAY)
        reloaded(tls)
        other.write_bytes(late.certificate)
        address = url(root=other)
    else:
        address, says = url(root=other), "does not exist"
    client = Client(address)

    with pytest.raises(Unavailable, match=says) as refusal:
        client.start()
    with Admin(address) as admin, pytest.raises(Unavailable, match=says):
        admin.profiles()

    assert "Next: check sslmode, " in str(refusal.value)
    assert client.status().document_version is None
    assert "Next: check sslmode, " in refused(1, "show", "--database", address)


def test_a_server_without_tls(server: Server, database_name: str, root: Path) -> None:
    """As whoever stands between says that there is none: it is not gone on without."""
    client = Client(f"{server.tcp_url(database_name)}?sslmode=verify-full&sslrootcert={root}")
    with pytest.raises(Unavailable, match=r"does not support SSL.* Next: check sslmode, sslrootcert, and whether"):
        client.start()
    assert client.status().document_version is None


def test_a_server_that_is_replaced(tls: Server, url: Url, authority: Authority) -> None:
    """Another one answers when the link is lost: the last snapshot serves, until the right one is back."""
    with psycopg.connect(tls.url(TEMPLATE), autocommit=True) as connection, Client(url(), heartbeat=1000) as client:
        editor, last = Editor(connection), client.current()
        install(Authority("another"), tls)
        reloaded(tls)

        editor.terminate()
        forged = editor.tokens(last.ai_infra.llm_max_tokens + 1)
        eventually(lambda: "certificate verify failed" in str(client.status().error))
        assert (client.current(), client.status().state) == (last, "stale")

        install(authority, tls)
        reloaded(tls)
        assert client.wait_for(forged, timeout=40).version == forged
