"""Where it is measured: databases of our own on an embedded server, or on the server of a URL."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg.conninfo import make_conninfo
from psycopg.sql import SQL, Identifier

from hotconfig import embedded, migrations

CONNECTIONS = 700

# Profiles of about 6 KB, as those of an agent with its prompts; the first one is the default.
FILL = """
    INSERT INTO config_profiles (name) SELECT 'p' || n FROM generate_series(1, %(profiles)s) AS n;
    INSERT INTO config_ai_infra (profile_id, llm_endpoint, llm_temperature, llm_max_tokens)
    SELECT id, 'endpoint', 0.7, 1 FROM config_profiles WHERE name LIKE 'p%%';
    INSERT INTO config_genie_spaces (profile_id, space_id, space_name)
    SELECT id, 'space', 'name' FROM config_profiles WHERE name LIKE 'p%%';
    INSERT INTO config_mlflow (profile_id, experiment_name)
    SELECT id, '/experiment' FROM config_profiles WHERE name LIKE 'p%%';
    INSERT INTO config_prompts (profile_id, system_prompt, slide_editing_instructions, user_prompt_template)
    SELECT id, repeat('prompt ', 460), repeat('edit ', 520), '{question}' FROM config_profiles WHERE name LIKE 'p%%';
    UPDATE config_profiles SET is_default = (name = 'p1');
"""


@dataclass(frozen=True, slots=True)
class Place:
    """A server on which databases may be made."""

    conninfo: str
    version: str

    @contextmanager
    def database(self, name: str, *, profiles: int = 1) -> Iterator[str]:
        """The conninfo of a new database with hotconfig's tables and so many profiles; dropped at the end."""
        name = f"hotconfig_benchmark_{name}"
        drop = SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(Identifier(name))
        with psycopg.connect(self.conninfo, autocommit=True) as server:
            server.execute(drop)
            server.execute(SQL("CREATE DATABASE {}").format(Identifier(name)))
            conninfo = make_conninfo(self.conninfo, dbname=name)
            try:
                migrations.upgrade(conninfo)
                with psycopg.connect(conninfo, autocommit=True, cursor_factory=psycopg.ClientCursor) as owner:
                    owner.execute(FILL, {"profiles": profiles})
                    owner.execute("VACUUM ANALYZE")
                yield conninfo
            finally:
                server.execute(drop)


@contextmanager
def place(conninfo: str | None) -> Iterator[Place]:
    """The server of a conninfo, whose user may create databases; or an embedded one in a directory of its own."""
    if conninfo is not None:
        yield _known(conninfo)
        return
    with tempfile.TemporaryDirectory(prefix="hotconfig-benchmark-") as directory:
        Path(directory).chmod(0o755)  # root's server runs as another user, who has to come in
        data = Path(directory) / "data"
        try:
            with psycopg.connect(embedded.start(data), autocommit=True) as server:
                server.execute(f"ALTER SYSTEM SET max_connections = {CONNECTIONS}")
            embedded.leave(data)  # and with it, as the only one, stop the server
            yield _known(embedded.start(data))
        finally:
            embedded.leave(data)


def _known(conninfo: str) -> Place:
    with psycopg.connect(conninfo) as server:
        return Place(conninfo, f"PostgreSQL {server.info.parameter_status('server_version')}")
