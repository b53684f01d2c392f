"""A process that follows another store: `python -m benchmarks.store_reader redis 6379`, on a loopback port.

It prints `ready` when it follows, then for each value that it has received and validated the version and
`time.monotonic_ns()`, which is the same clock in every process of a machine. It ends when its standard input ends.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time

import hotconfig

KEY = "profile"
HOST = "127.0.0.1"


def ready() -> None:
    print("ready", flush=True)


def take(value: bytes) -> None:
    config = hotconfig.ProfileConfig.model_validate_json(value)
    validated = time.monotonic_ns()
    print(config.version, validated, flush=True)


def redis(port: int) -> None:
    """A message is a hint to look: one sent while a subscriber was away is lost, so that the value is in the key."""
    from redis import Redis

    with Redis(HOST, port) as client, client.pubsub() as messages:
        messages.subscribe(KEY)
        for message in messages.listen():
            if message["type"] == "subscribe":
                ready()
            elif isinstance(value := client.get(KEY), bytes):
                take(value)


async def etcd(port: int) -> None:
    """`watch` returns when the server has confirmed it: no write falls between."""
    from aetcd import Client

    async with Client(HOST, port) as client:
        events = await client.watch(KEY.encode())
        ready()
        async for event in events:
            take(event.kv.value)


async def nats(port: int) -> None:
    """What is there already comes first, and None behind it."""
    from nats import connect

    connection = await connect(f"nats://{HOST}:{port}")
    bucket = await connection.jetstream().key_value("config")
    initial = True
    async for entry in await bucket.watch(KEY):
        if entry is None:
            initial = False
            ready()
        elif not initial and entry.value is not None:
            take(entry.value)


def end_with_input() -> None:
    sys.stdin.read()
    os._exit(0)  # the main thread waits in a library, for ever


def main(store: str, port: int) -> None:
    threading.Thread(target=end_with_input, name="end-with-input", daemon=True).start()
    if store == "redis":
        redis(port)
    else:
        asyncio.run({"etcd": etcd, "nats": nats}[store](port))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
