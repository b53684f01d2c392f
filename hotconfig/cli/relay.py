"""The verb relay."""

from __future__ import annotations

import re
import signal
from contextlib import ExitStack
from typing import Annotated

import typer

from hotconfig import _nats_address
from hotconfig import conninfo as _conninfo
from hotconfig._feed import Stop
from hotconfig.cli import options, output
from hotconfig.cli.app import verb


@verb("hotconfig relay --to nats://host:4222 --health 127.0.0.1:8080")
def relay(
    *,
    to: Annotated[str, typer.Option(metavar="nats://HOST,HOST/BUCKET", help="Where clients read it.")],
    health: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="Answer HTTP there: how it is, and how far behind.")
    ] = None,
    replicas: Annotated[
        int | None, typer.Option(min=1, max=5, metavar="N", help="Of the bucket (default: 3 in a cluster, else 1)")
    ] = None,
    database: options.Database = None,
    schema: options.Schema = None,
    as_json: options.Json = False,
) -> None:
    """Put all documents into a bucket of NATS JetStream, as they change, until Ctrl-C; several at once are safe."""
    from hotconfig import _health  # late: the vendor's client need not be there
    from hotconfig._relay import Relay

    if not _nats_address.is_nats(to):
        raise ValueError("--to is an address of NATS, such as nats://host:4222")
    target, schema = _conninfo.resolve(database), _conninfo.schema_name(schema)
    if _nats_address.is_nats(target.conninfo):
        raise ValueError(f"what is relayed is in PostgreSQL, and {target} is not: give its address with --database")
    relay = Relay(target, schema, _nats_address.parse(to), replicas)
    stop = Stop()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    with ExitStack() as stack:
        stack.callback(stop.close)
        if health is not None:
            server = _health.serve(relay, *_host_and_port(health))
            stack.callback(server.server_close)
            stack.callback(server.shutdown)
        if not as_json:
            output.say(f"from {target.safe()} to {relay.address}, until Ctrl-C")
        told: str | None = None
        for error in relay.run(stop):
            if as_json:
                output.print_json(_health.health(relay))
            elif error is not None and str(error) != told:
                output.warn(str(error))
            elif error is None and told != "":
                output.say(f"version {relay.relayed}: {relay.documents} documents are there")
            told = "" if error is None else str(error)


def _host_and_port(text: str) -> tuple[str, int]:
    found = re.fullmatch(r"(?:\[(.+)\]|([^:]*)):([0-9]{1,5})", text)
    if found is None or int(found[3]) > 65535:
        raise ValueError("--health is HOST:PORT, such as 127.0.0.1:8080")
    return found[1] or found[2], int(found[3])
