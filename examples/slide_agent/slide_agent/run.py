"""What the agent needs around it, and the server of its page."""

from __future__ import annotations

import asyncio
import os
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import hotconfig
import uvicorn
from hotconfig import conninfo, embedded, migrations
from hotconfig.admin import Admin
from psycopg.conninfo import make_conninfo

from slide_agent.app import app

HOST = "127.0.0.1"
EDIT = (
    "UPDATE config_ai_infra SET llm_temperature = 0.2 "
    "WHERE profile_id = (SELECT id FROM config_profiles WHERE is_default)"
)


@contextmanager
def environment(database: str) -> Iterator[str | None]:
    """Have this process's environment say where the configuration, the model and Genie are.

    Within, whatever is missing runs; what it yields is the URL of the stand-in, if that is needed.
    """
    os.environ["HOTCONFIG_DATABASE_URL"] = database
    if database.startswith("embedded:"):  # another one is somebody's, and made ready by whoever it belongs to
        migrations.upgrade(database)
        with Admin(database, actor="slide-agent") as admin:
            admin.init()
    if "OPENAI_BASE_URL" in os.environ and "DATABRICKS_HOST" in os.environ:
        yield None
        return
    with stand_in() as url:
        # Not by way of a company's proxy; and with a key of its own, since a real one is for nobody else.
        os.environ["NO_PROXY"] = f"{os.environ.get('NO_PROXY', '')},{HOST}".lstrip(",")
        if "OPENAI_BASE_URL" not in os.environ:
            os.environ |= {"OPENAI_BASE_URL": f"{url}/v1", "OPENAI_API_KEY": "stand-in"}
        if "DATABRICKS_HOST" not in os.environ:
            os.environ |= {"DATABRICKS_HOST": url, "DATABRICKS_TOKEN": "stand-in", "DATABRICKS_AUTH_TYPE": "pat"}
        yield url


@contextmanager
def stand_in() -> Iterator[str]:
    """The URL of a stand-in for the model and Genie, in a process of its own."""
    with socket.create_server((HOST, 0)) as listening:
        # Listening already, so whoever connects before that process is up waits for it, and needs no second try.
        number = listening.fileno()
        command = [sys.executable, "-m", "slide_agent.stand_in", str(number)]
        # In a session of its own, since Ctrl-C is for the agent, whose last turns still need it. Its input ends when
        # this process closes it or is gone, killed too; then it ends.
        process = subprocess.Popen(command, stdin=subprocess.PIPE, pass_fds=[number], start_new_session=True)
        url = f"http://{HOST}:{listening.getsockname()[1]}"
    with process:
        yield url


class Server(uvicorn.Server):
    """Ends at Ctrl-C also while pages are open."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        # uvicorn waits for what is being served, the streams that tell of changes too: close() ends these. Both at a
        # time, since the first thing that uvicorn does is to let nobody else in.
        await asyncio.gather(super().shutdown(sockets), asyncio.to_thread(hotconfig.close))


def serve(database: str, port: int) -> None:
    """Serve the page until Ctrl-C."""
    # A service manager's way to say Ctrl-C; else what was started would be left running.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with socket.create_server((HOST, port)) as listening, environment(database) as url:
            print(f"model: {_whose('OPENAI_BASE_URL', url)}")
            print(f"Genie: {_whose('DATABRICKS_HOST', url)}")
            print(f"page:  http://{HOST}:{listening.getsockname()[1]}/")
            if database.startswith("embedded:"):  # of another one its owner knows the address, and the password
                print(f"    export HOTCONFIG_DATABASE_URL={shlex.quote(_address(database))}")
            print("Ask something, then change its settings from another terminal:")
            psql = [str(embedded.bin_path() / "psql"), _address(database), "-c", EDIT]
            print(f"    {shlex.join(psql)}", flush=True)
            Server(uvicorn.Config(app, log_level="warning")).run(sockets=[listening])
    except KeyboardInterrupt:
        pass  # the way to end it; uvicorn raises it again when it has served what was asked


def _whose(variable: str, stand_in: str | None) -> str:
    url = os.environ[variable]
    return f"a stand-in, {url}; set {variable} for a real one" if stand_in and url.startswith(stand_in) else url


def _address(database: str) -> str:
    """As libpq reads it, and so psql and hotconfig do; without a password."""
    parts = conninfo.resolve(database).connect_params()
    return make_conninfo("", **{name: value for name, value in parts.items() if "password" not in name})
