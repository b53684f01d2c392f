"""What breaks, at random, one at a time; each is over when its function returns."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import threading
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field

import psycopg
from proxy import Proxy

from .pair import Pair

READERS = "application_name LIKE 'hotconfig:%'"


@dataclass
class Faults:
    """Makes faults until it is told to stop, and counts them by their kind."""

    pair: Pair
    readers: list[subprocess.Popen[bytes]]
    chance: random.Random
    stop: threading.Event
    made: Counter[str] = field(default_factory=Counter)

    def run(self) -> None:
        kinds = {
            self.cut_links: 4,
            self.stall_links: 3,
            self.slow_links: 2,
            self.terminate_sessions: 3,
            self.freeze_sessions: 2,
            self.kill_a_backend: 1,
            self.restart_server: 1,
            self.kill_server: 1,
            self.fail_over: 2,
            self.freeze_a_reader: 2,
        }
        while not self.stop.is_set():
            (fault,) = self.chance.choices(list(kinds), list(kinds.values()))
            fault()
            self.made[fault.__name__.replace("_", " ")] += 1
            self.stop.wait(self.chance.uniform(0.1, 0.8))

    def heal(self) -> None:
        for proxy in self.pair.proxies.values():
            proxy.heal()

    def cut_links(self) -> None:
        self._proxy().cut()

    def stall_links(self) -> None:
        proxy = self._proxy()
        proxy.stall()
        self._while()
        if self.chance.random() < 0.5:
            proxy.cut()
        proxy.resume()

    def slow_links(self) -> None:
        proxy = self._proxy()
        proxy.delay, proxy.rate = self.chance.choice([(0.05, 0.0), (0.0, 30_000.0), (0.02, 100_000.0)])
        self._while()
        proxy.delay = proxy.rate = 0.0

    def terminate_sessions(self) -> None:
        self._sql(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {READERS}")

    def freeze_sessions(self) -> None:
        pids = self._sql(f"SELECT pid FROM pg_stat_activity WHERE {READERS}")
        self._signal(pids, signal.SIGSTOP)
        self._while()
        self._signal(pids, signal.SIGCONT)

    def kill_a_backend(self) -> None:
        """The server then ends all sessions and recovers, as after a crash."""
        self._signal(self._sql(f"SELECT pid FROM pg_stat_activity WHERE {READERS}")[:1], signal.SIGKILL)

    def restart_server(self) -> None:
        self.pair.primary.restart()

    def kill_server(self) -> None:
        self.pair.primary.signal(signal.SIGKILL)
        self.pair.primary.start()

    def fail_over(self) -> None:
        self.pair.failover(self.chance.choice([0.0, 0.0, 0.2]))

    def freeze_a_reader(self) -> None:
        pid = self.chance.choice(self.readers).pid
        self._signal([pid], signal.SIGSTOP)
        self._while()
        self._signal([pid], signal.SIGCONT)

    def _proxy(self) -> Proxy:
        return self.pair.proxies[self.pair.primary]

    def _while(self) -> None:
        time.sleep(self.chance.expovariate(1.0) % 3.0)

    def _sql(self, query: str) -> list[int]:
        try:
            with psycopg.connect(self.pair.direct()) as connection:
                return [int(row[0]) for row in connection.execute(query.encode())]
        except psycopg.OperationalError:
            return []  # it is down already

    @staticmethod
    def _signal(pids: list[int], number: signal.Signals) -> None:
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, number)
