"""Who may read from NATS: passwords, tokens, credentials, certificates; and what a wrong server learns of them."""

from __future__ import annotations

import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Self

import nats_servers
import pytest
from certificates import Authority
from editing import FOREVER, Editor, eventually
from nats_accounts import Operator
from nats_servers import Nats
from relays import Relays, Running

from hotconfig import Client, Unavailable

SECRET = "s3cret"
Follows = Callable[[str], None]


@pytest.fixture
def follows(database: str, editor: Editor, relay_process: Relays) -> Callable[[str], None]:
    """With this address a relay fills the bucket, and a client reads it."""

    def follows(address: str) -> None:
        with relay_process.running(database, address, FOREVER):
            relay_process.settle(address, editor)
            with Client(address, heartbeat=FOREVER) as client:
                assert client.wait_for(editor.tokens(7)).ai_infra.llm_max_tokens == 7

    return follows


def fails(address: str, told: str) -> None:
    """A start with it is refused in these words, without the secret."""
    client = Client(address)
    with pytest.raises(Unavailable, match=told) as refusal:
        client.start()
    assert SECRET not in str(refusal.value)
    assert client.status().document_version is None


@pytest.mark.parametrize(
    ("login", "right", "wrong"),
    [
        ({"user": "u", "password": f"{SECRET}@/"}, f"u:{SECRET}%40%2F@", [f"u:{SECRET}@", "u:@", ""]),
        ({"token": f"{SECRET}@"}, f"{SECRET}%40@", [f"{SECRET}@", f"u:{SECRET}%40@", ""]),
    ],
    ids=["password", "token"],
)
def test_a_password_or_token(login: dict[str, str], right: str, wrong: list[str], follows: Follows) -> None:
    """The right one lets relay and client in; a wrong one, or none, is refused in words that say what to do."""
    with nats_servers.stopped(authorization=json.dumps(login)) as server:
        server.login = dict(login)
        server.start()
        follows(server.url.replace("//", f"//{right}"))
        for each in wrong:
            fails(server.url.replace("//", f"//{each}"), r"uthoriz.* Next: check the user, token or credentials")


def test_a_credentials_file(follows: Follows, tmp_path: Path) -> None:
    """The one of a user whom the account has signed; not one of another account, and not none."""
    operator = Operator()
    right, wrong = operator.user(tmp_path / "right.creds"), Operator().user(tmp_path / "wrong.creds")
    with nats_servers.stopped(1, **operator.settings()) as server:
        server.login = {"user_credentials": str(right)}
        server.start()
        follows(f"{server.url}?credentials={right}")
        fails(f"{server.url}?credentials={wrong}", r"uthoriz.* Next: check the user, token or credentials")
        fails(server.url, r"Next: check the user, token or credentials")
        fails(f"{server.url}?credentials=/nowhere", "nowhere")


@pytest.mark.parametrize("content", ["", "no credentials", "seed"], ids=["empty", "text", "wrong seed"])
def test_a_file_that_holds_no_credentials(content: str, tmp_path: Path) -> None:
    """The error says that it is the file."""
    operator = Operator()
    right, wrong = operator.user(tmp_path / "right.creds"), tmp_path / "wrong.creds"
    text = right.read_text()
    seed = next(line for line in text.splitlines() if line.startswith("SU"))
    wrong.write_text(text.replace(seed, "SUAxx") if content == "seed" else content)
    with nats_servers.stopped(1, **operator.settings()) as server:
        server.login = {"user_credentials": str(right)}
        server.start()
        fails(f"{server.url}?credentials={wrong}", "credentials file cannot be used: .* Next: write it anew")


def test_who_may_not_subscribe_to_hints(database: str, editor: Editor) -> None:
    """Is told so, and asks at each heartbeat."""
    may = 'publish: ["$JS.API.DIRECT.GET.KV_slides", "$JS.API.STREAM.MSG.GET.KV_slides"], subscribe: ["_INBOX.>"]'
    users = f"{{ user: all, password: x }}, {{ user: edge, password: x, permissions: {{ {may} }} }}"
    with nats_servers.stopped(authorization=f"{{ users: [ {users} ] }}") as server:
        server.login = {"user": "all", "password": "x"}
        server.start()
        hosts = server.url.removeprefix("nats://")
        relaying = Running(database, f"nats://all:x@{hosts}/slides", FOREVER)
        try:
            eventually(lambda: relaying.relay.relayed == editor.version())
            with Client(f"nats://edge:x@{hosts}/slides", heartbeat=0.5) as client:
                assert client.wait_for(editor.tokens(7), timeout=20).ai_infra.llm_max_tokens == 7
                eventually(lambda: client.status().state == "polling")
        finally:
            relaying.stop()


# ---- TLS


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


@pytest.fixture
def root(tmp_path: Path, authority: Authority) -> Path:
    path = tmp_path / "root.crt"
    path.write_bytes(authority.certificate)
    return path


@contextmanager
def encrypting(
    authority: Authority, root: Path, host: str, more: str = "", settings: Mapping[str, str] = MappingProxyType({})
) -> Iterator[Nats]:
    """A server that shows a certificate for this host, and takes nobody without TLS."""
    key, certificate = authority.issue(host)
    with nats_servers.stopped(1, **settings) as server:
        for name, content in (("server.key", key), ("server.crt", certificate)):
            (server.root / name).write_bytes(content)
        files = f'cert_file: "{server.root}/server.crt", key_file: "{server.root}/server.key"'
        server.settings["tls"] = f"{{ {files}{more} }}"
        server.login = {"tls": ssl.create_default_context(cafile=root), "tls_hostname": host}
        if more:
            server.login["tls"].load_cert_chain(server.root / "server.crt", server.root / "server.key")
        yield server


def test_tls(authority: Authority, root: Path, follows: Follows) -> None:
    """Relay and client check whose certificate it is, and that it is the host's; nats:// alone finds out as well."""
    with encrypting(authority, root, "127.0.0.1") as server:
        server.start()
        follows(f"{server.url}?tls_ca={root}")
        other = root.with_name("other.crt")
        other.write_bytes(Authority("another").certificate)
        fails(f"{server.url}?tls_ca={other}", r"ertificate.* Next: check tls_ca, and the server's certificate")
        fails(server.url.replace("nats:", "tls:"), r"ertificate.* Next: check tls_ca, and the server's certificate")
        fails(f"{server.url}?tls_ca={root.with_name('none')}", "No such file")
        fails(server.url, r"ertificate|TLS|tls")


def test_tls_for_another_host(authority: Authority, root: Path) -> None:
    """A certificate that is right, but somebody else's, is refused."""
    with encrypting(authority, root, "nats.example.com") as server:
        server.start()
        fails(f"{server.url}?tls_ca={root}", r"ertificate.* Next: check tls_ca, and the server's certificate")


def test_a_certificate_of_the_client_s(authority: Authority, root: Path, follows: Follows) -> None:
    """Where the server wants one, it is shown; without it there is no answer."""
    key, certificate = authority.issue("client")
    files = root.with_name("client.key"), root.with_name("client.crt")
    files[0].write_bytes(key)
    files[1].write_bytes(certificate)
    with encrypting(authority, root, "127.0.0.1", f', ca_file: "{root}", verify: true') as server:
        server.start()
        address = f"{server.url}?tls_ca={root}"
        follows(f"{address}&tls_cert={files[1]}&tls_key={files[0]}")
        fails(address, r"Next: ")


def test_credentials_and_tls(authority: Authority, root: Path, follows: Follows, tmp_path: Path) -> None:
    """Both together."""
    operator = Operator()
    path = operator.user(tmp_path / "user.creds")
    with encrypting(authority, root, "127.0.0.1", settings=operator.settings()) as server:
        server.login["user_credentials"] = str(path)
        server.start()
        follows(f"{server.url}?tls_ca={root}&credentials={path}")


class Eavesdropper:
    """Takes connections as a NATS server does that offers no TLS, and keeps what it hears."""

    def __init__(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self.heard = b""
        self._thread = threading.Thread(target=self._listen)

    def _listen(self) -> None:
        about = {"server_id": "x", "version": "2.14.0", "proto": 1, "headers": True, "max_payload": 1 << 20}
        about |= {"auth_required": True, "host": "127.0.0.1", "port": self.port, "jetstream": True}
        about["nonce"] = "once"  # to be signed
        connection, _ = self._listening.accept()
        with connection:
            connection.sendall(f"INFO {json.dumps(about)}\r\n".encode())
            while data := connection.recv(65536):
                self.heard += data
                if b"PING" in data:
                    connection.sendall(b"PONG\r\n")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join()
        self._listening.close()


@pytest.mark.parametrize("login", [f"u:{SECRET}@", f"{SECRET}@"], ids=["password", "token"])
def test_a_secret_is_not_said_in_clear(login: str, root: Path) -> None:
    """Whoever stands between and says that there is no TLS does not hear it."""
    with Eavesdropper() as eve:
        fails(f"tls://{login}127.0.0.1:{eve.port}/x?tls_ca={root}", r"offers no TLS.* Next: write nats://, or have")
    assert SECRET.encode() not in eve.heard


def test_credentials_are_not_said_in_clear(root: Path, tmp_path: Path) -> None:
    """Nor who it is: neither the token of a credentials file nor its signature."""
    path = Operator().user(tmp_path / "user.creds")
    with Eavesdropper() as eve:
        fails(f"tls://127.0.0.1:{eve.port}/x?tls_ca={root}&credentials={path}", "offers no TLS")
    assert b'"jwt"' not in eve.heard
    assert b'"sig"' not in eve.heard
