"""What it costs to publish a busy table: 1,000 heartbeats a second by four writers, and edits beside them.

    python experiments/busy_table.py [seconds]

The table is not watched; watched for the columns that are published, as `publish_document` does; watched for all.
"""

from __future__ import annotations

import itertools
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path

import psycopg

from hotconfig import embedded, migrations
from hotconfig.migrations import RowsByKey

TABLE = """
    CREATE TABLE workers (name text PRIMARY KEY, endpoint text NOT NULL, last_seen timestamptz, served int DEFAULT 0);
    INSERT INTO workers SELECT 'w' || n, 'http://' || n FROM generate_series(1, 100) AS n;
"""
HEARTBEAT = "UPDATE workers SET last_seen = now(), served = served + 1 WHERE name = %s"
EDIT = "UPDATE workers SET endpoint = endpoint || '/' WHERE name = 'w1'"
WRITERS, RATE = 4, 1000


def beat(url: str, writer: int, until: float, took: list[float]) -> None:
    """Heartbeats of every fourth worker, one at a time, at its share of the rate."""
    with psycopg.connect(url, autocommit=True) as connection:
        due = time.perf_counter()
        for n in itertools.count():
            began = time.perf_counter()
            if began > until:
                return
            connection.execute(HEARTBEAT, [f"w{(n * WRITERS + writer) % 100 + 1}"])
            took.append(time.perf_counter() - began)
            due += WRITERS / RATE
            time.sleep(max(0, due - time.perf_counter()))


def measure(url: str, seconds: float) -> str:
    until = time.perf_counter() + seconds
    took: list[list[float]] = [[] for _ in range(WRITERS)]
    writers = [threading.Thread(target=beat, args=(url, n, until, took[n])) for n in range(WRITERS)]
    for writer in writers:
        writer.start()
    edits = []
    with psycopg.connect(url, autocommit=True) as editor:
        while time.perf_counter() < until:
            began = time.perf_counter()
            editor.execute(EDIT)
            edits.append(time.perf_counter() - began)
            time.sleep(0.05)
    for writer in writers:
        writer.join()
    beats = [each for one in took for each in one]
    return (
        f"{len(beats) / seconds:7.0f} heartbeats/s, median {statistics.median(beats) * 1000:6.2f} ms,"
        f" p99 {statistics.quantiles(beats, n=100)[-1] * 1000:6.2f} ms; edit {statistics.median(edits) * 1000:6.2f} ms"
    )


def main(seconds: float) -> None:
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o755)
        url = embedded.start(Path(directory) / "data")
        migrations.upgrade(url)
        with migrations.connect(url) as owner:
            owner.exec_driver_sql(TABLE)
            owner.commit()
            print(f"not watched                  {measure(url, seconds)}")
            migrations.publish_document(owner, "fleet", RowsByKey("workers", "name", ["endpoint"]))
            owner.commit()
            print(f"watched for what is published{measure(url, seconds)}")
            migrations.unwatch_table(owner, "workers", publishes="fleet")
            function = owner.exec_driver_sql("SELECT config_shape_name('fleet')").scalar_one()
            migrations.watch_table(owner, "workers", publishes="fleet", function=function)
            owner.commit()
            print(f"watched for all columns      {measure(url, seconds)}")
        embedded.leave(Path(directory) / "data")


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 10)
