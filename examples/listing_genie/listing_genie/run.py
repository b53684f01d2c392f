"""What the application needs around it, and its server."""

from __future__ import annotations

import os
import shlex
import signal
import socket
import sys
from pathlib import Path

import hotconfig
import uvicorn
from hotconfig import conninfo, embedded
from psycopg.conninfo import make_conninfo

from listing_genie import app, image_settings, settings

HOST = "127.0.0.1"
EDIT = "UPDATE image_settings SET enabled = false WHERE image_type = 'lifestyle'"


def serve(database: str | None, data: Path, port: int) -> None:
    """Migrate, seed, and serve on loopback until Ctrl-C.

    Raises:
        hotconfig.Unavailable: PostgreSQL cannot be reached, and nothing is remembered of the settings.
    """
    # A service manager's way to say Ctrl-C; else what was started would be left running.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        data.mkdir(parents=True, exist_ok=True)
        if os.geteuid() == 0:
            data.chmod(0o755)  # whatever the umask is: the user that runs PostgreSQL passes through
        database = database or f"embedded:{data}/postgres"
        try:
            image_settings.migrate(database)
        except hotconfig.Unavailable as error:
            print(f"not migrated: {error}", file=sys.stderr)  # what is remembered may serve
        with socket.create_server((HOST, port)) as listening, settings.client(database, data) as client:
            print(f"data:    {data}")
            print(f"address: http://{HOST}:{listening.getsockname()[1]}/")
            if database.startswith("embedded:"):  # of another one its owner knows the address, and the password
                print(f"    export HOTCONFIG_DATABASE_URL={shlex.quote(_address(database))}")
            print("Open a session, then disable an image type from another terminal:")
            psql = [str(embedded.bin_path() / "psql"), _address(database), "-c", EDIT]
            print(f"    {shlex.join(psql)}", flush=True)
            uvicorn.Server(uvicorn.Config(app.create(data, client), log_level="warning")).run(sockets=[listening])
    except KeyboardInterrupt:
        pass  # the way to end it; uvicorn raises it again when it has served what was asked


def _address(database: str) -> str:
    """As libpq reads it, and so psql and hotconfig do; without a password."""
    parts = conninfo.resolve(database).connect_params()
    return make_conninfo("", **{name: value for name, value in parts.items() if "password" not in name})
