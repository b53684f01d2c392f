"""Several clients in a process of their own: `python -m tests.load.reader COUNT`.

HOTCONFIG_DATABASE_URL names the database. It prints a line when all clients follow; is given a line with the last
version, its document, and until when it has to be there; and prints what each client showed. It ends with its input.
"""

from __future__ import annotations

import json
import logging
import logging.handlers
import queue
import sys
import time
from contextlib import ExitStack

from hotconfig import Client, ProfileConfig
from hotconfig.errors import Timeout

from .listener import Listener
from .writer import HEARTBEAT


def main(count: int) -> None:
    # Counted, not shown: where so many threads find no processor, any subscriber is late at times.
    warnings: queue.SimpleQueue[logging.LogRecord] = queue.SimpleQueue()
    logging.getLogger("hotconfig").addHandler(logging.handlers.QueueHandler(warnings))
    with ExitStack() as stack:
        clients = [stack.enter_context(Client(heartbeat=HEARTBEAT)) for _ in range(count)]
        listeners = [Listener(client) for client in clients]
        _say({"ready": count})
        asked = sys.stdin.readline()
        if not asked:
            return
        wanted = json.loads(asked)
        document = ProfileConfig.model_validate_json(wanted["document"])
        wrong = [
            f"client {n}: {complaint}"
            for n, (client, listener) in enumerate(zip(clients, listeners, strict=True))
            for complaint in _wrong(client, listener, wanted["version"], document, wanted["deadline"])
        ]
        told = [[list(each.versions), list(each.times)] for each in listeners]
        reconnects = sum(client.status().reconnects for client in clients)
        _say({"wrong": wrong, "told": told, "reconnects": reconnects, "warnings": warnings.qsize()})
        sys.stdin.readline()  # its memory and its time are still to be looked at


def _wrong(client: Client, listener: Listener, version: int, document: ProfileConfig, deadline: float) -> list[str]:
    wrong = []
    try:
        client.wait_for(version, timeout=max(0.0, deadline - time.monotonic()))
    except Timeout as late:
        wrong.append(str(late))
    while listener.given is not client.current() and time.monotonic() < deadline:
        time.sleep(0.005)
    status = client.status()
    if client.current() != document:
        wrong.append(f"shows version {client.current().version}, and not what the database has")
    if listener.given is not client.current():
        wrong.append(f"its subscriber was last told of version {listener.given.version}")
    if listener.gaps:
        wrong.append(f"its subscriber was told {listener.gaps} times of a change from something that it was not given")
    if status.rejected_version or status.rewinds:
        wrong.append(f"is {status}")
    return wrong


def _say(what: dict[str, object]) -> None:
    print(json.dumps(what), flush=True)  # for the process that started this one


if __name__ == "__main__":
    main(int(sys.argv[1]))
