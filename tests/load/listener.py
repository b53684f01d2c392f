"""A subscriber that notes what it is told and when, and how stale that makes it."""

from __future__ import annotations

import time
from array import array
from collections.abc import Sequence

from hotconfig import Change, Client, ProfileConfig

from .writer import BOUND


class Listener:
    """Subscribed to a client from now on."""

    def __init__(self, client: Client) -> None:
        # Arrays: millions of numbers are not to be what the memory of a process consists of.
        self.versions = array("q")
        self.times = array("d")  # of the monotonic clock, which all processes of a machine share
        self.given = client.current()
        self.gaps = 0
        self.subscription = client.subscribe(self, since=self.given)

    def __call__(self, change: Change[ProfileConfig]) -> None:
        now = time.monotonic()
        if change.old is not self.given or change.new.version <= self.given.version:
            self.gaps += 1
        self.given = change.new
        self.versions.append(change.new.version)
        self.times.append(now)


def staleness(versions: Sequence[int], times: Sequence[float], first: int, sent: Sequence[float]) -> list[float]:
    """For each step that a subscriber was told of: how long the oldest edit in it had been under way.

    `sent` are the times at which the edits were sent that made version `first` and those that follow. A commit comes
    a little later, so this is an upper bound of what has been committed and is not seen.
    """
    oldest = [first, *(version + 1 for version in versions)][: len(versions)]
    return [time - sent[version - first] for version, time in zip(oldest, times, strict=True)]


def caught_up(listeners: Sequence[Listener], version: int) -> bool:
    """Whether all have been told of it within the bound of promise 5."""
    deadline = time.monotonic() + BOUND
    while any(each.given.version < version for each in listeners):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.005)
    return True
