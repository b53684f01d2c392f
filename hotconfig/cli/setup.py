"""Verbs that make an installation: demo, dev, migrate, init."""

from __future__ import annotations

import shlex
import signal
import sys
import threading
from typing import Annotated

import typer

from hotconfig import conninfo as _conninfo
from hotconfig import embedded
from hotconfig._shipped import qualified
from hotconfig.admin import Admin
from hotconfig.cli import options, output
from hotconfig.cli.app import verb
from hotconfig.cli.report import report


@verb("hotconfig demo")
def demo(
    *,
    interactive: Annotated[
        bool, typer.Option("--interactive", help="Leave it running, and print the psql command to try.")
    ] = False,
) -> None:
    """See it work: a server, an agent, an edit in psql, the agent's next answer."""
    # Late: the demonstration brings an agent of its own, which no other verb needs.
    from hotconfig.demo import main

    main(interactive=interactive)


@verb("hotconfig dev")
def dev(
    *,
    database: Annotated[
        str, typer.Option(metavar="embedded:[PATH]", help="The directory of the server's data.")
    ] = "embedded:",
    schema: options.Schema = None,
    as_json: options.Json = False,
) -> None:
    """Run a PostgreSQL here, migrated and with the default profile, until Ctrl-C."""
    if not database.startswith("embedded:"):
        raise ValueError("dev runs an embedded server: --database embedded: or embedded:/path")
    from hotconfig import migrations  # late, as in `migrate`

    # A service manager's way to say Ctrl-C; else the server would be left running.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        migrations.upgrade(database, schema=schema)
        with Admin(database, schema=schema) as admin:
            admin.init()
        params = _conninfo.resolve(database).connect_params()
        url = f"postgresql://{params['user']}@/{params['dbname']}?host={params['host']}&port={params['port']}"
        table = qualified("config_ai_infra", _conninfo.schema_name(schema))
        command = ["psql", url, "-c", f"UPDATE {table} SET llm_temperature = 0.2"]
        command[0] = str(embedded.bin_path() / "psql")
        if as_json:
            output.print_json({"url": url, "psql": shlex.join(command)})
        else:
            output.say("PostgreSQL runs here until Ctrl-C:")
            output.say("    export HOTCONFIG_DATABASE_URL=", (shlex.quote(url), "cyan"))
            output.say("Change something, and see `hotconfig history`:")
            output.say("    ", (shlex.join(command), "cyan"))
        threading.Event().wait()
    except KeyboardInterrupt:
        pass  # the way to end it: this process's exit stops the server


@verb("hotconfig migrate --sql")
def migrate(
    *,
    sql: Annotated[bool, typer.Option("--sql", help="Print the SQL for a DBA instead; connects to nothing.")] = False,
    down: Annotated[
        str | None,
        typer.Option(metavar="REV", help="Go back to this revision; base drops everything, the data too."),
    ] = None,
    yes: options.Yes = False,
    database: options.Database = None,
    schema: options.Schema = None,
    as_json: options.Json = False,
) -> None:
    """Create hotconfig's tables, or bring them up to date."""
    # Late: Alembic takes as long to load as all else, and the other verbs need none.
    from hotconfig import migrations

    if sql:
        script = migrations.script(schema=schema, down=down)
        if as_json:
            output.print_json({"sql": script})
        else:
            output.raw(script.rstrip("\n"))
        return
    before = migrations.status(database, schema=schema).current
    if down is None:
        migrations.upgrade(database, schema=schema)
    else:
        if not yes and sys.stdin.isatty() and not as_json:
            typer.confirm(f"Drop what came after revision {down}, with its data and history?", abort=True)
        migrations.downgrade(database, schema=schema, revision=down)
    after = migrations.status(database, schema=schema).current
    name = _conninfo.schema_name(schema)
    if as_json:
        output.print_json({"schema": name, "old_revision": before, "revision": after})
    elif before == after:
        output.say(f'schema "{name}": at revision {after or "base"} already')
    else:
        output.say(f'schema "{name}": revision {before or "base"} -> ', (after or "base", "bold"))
        if before is None:
            output.say("next: `hotconfig init` makes the default profile")


@verb("hotconfig init")
def init(
    *,
    by: options.By = None,
    note: options.Note = None,
    dry_run: options.DryRun = False,
    wait: options.Wait = None,
    database: options.Database = None,
    schema: options.Schema = None,
    as_json: options.Json = False,
) -> None:
    """Make the default profile, unless there is one."""
    with Admin(database, actor=by, note=note, schema=schema, dry_run=dry_run) as admin:
        written = admin.init()
        report(admin, None, written, dry_run=dry_run, wait=wait, as_json=as_json, changes=False)
