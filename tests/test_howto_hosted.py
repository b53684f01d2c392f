"""docs/howto/hosted-postgres.md: passwords that rotate are asked for at each connect."""

from __future__ import annotations

import importlib
import json
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pages
import pytest
from psycopg.conninfo import conninfo_to_dict

PAGE = Path(__file__).parent.parent / "docs/howto/hosted-postgres.md"


@pytest.fixture
def conninfo_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Callable[[], str]]:
    """The function `conninfo` of a module that the page shows."""

    def conninfo_of(name: str) -> Callable[[], str]:
        pages.save(PAGE, f"{name}.py", tmp_path)
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.delitem(sys.modules, name, raising=False)
        function: Callable[[], str] = importlib.import_module(name).conninfo
        return function

    return conninfo_of


@pytest.fixture
def workspace() -> Iterator[str]:
    """The URL of a Databricks workspace's stand-in, which gives out token-1, token-2, ..."""
    given = 0

    class Workspace(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            nonlocal given
            given += 1
            self.rfile.read(int(self.headers["Content-Length"]))
            self._answer(200, {"token": f"token-{given}"} if self.path == "/api/2.0/postgres/credentials" else {})

        def do_GET(self) -> None:  # how the workspace is configured: the SDK has defaults
            self._answer(404, {})

        def _answer(self, code: int, body: dict[str, str]) -> None:
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(json.dumps(body).encode())

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Workspace) as http:
        thread = threading.Thread(target=http.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{http.server_port}"
        http.shutdown()
        thread.join()


def test_rds(conninfo_of: Callable[[str], Callable[[], str]], monkeypatch: pytest.MonkeyPatch) -> None:
    """The password is a token signed for this host and user."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "an example")
    params = conninfo_to_dict(conninfo_of("rds")())
    token = str(params["password"])
    assert token.startswith(f"{params['host']}:5432/?Action=connect&DBUser={params['user']}&")
    assert "X-Amz-Signature=" in token


def test_lakebase(
    conninfo_of: Callable[[str], Callable[[], str]], workspace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each call asks the workspace for a new one."""
    monkeypatch.setenv("DATABRICKS_HOST", workspace)
    monkeypatch.setenv("DATABRICKS_TOKEN", "an example")
    conninfo = conninfo_of("lakebase")
    assert [conninfo_to_dict(conninfo())["password"] for _ in range(2)] == ["token-1", "token-2"]
