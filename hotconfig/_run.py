"""One start of a client, in one process: the feed, its first item in the caller's thread, the rest in its own."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Generic
from weakref import WeakMethod

from hotconfig import _cache, _fork, _postgres
from hotconfig import conninfo as _conninfo
from hotconfig._content import Content, parse
from hotconfig._feed import Down, Feed, Item, Published, Stop
from hotconfig._nats_address import is_nats
from hotconfig._nats_address import parse as parse_nats
from hotconfig._settings import Settings
from hotconfig.conninfo import Target
from hotconfig.errors import HotConfigError, InvalidConfig, Unavailable
from hotconfig.snapshot import S

logger = logging.getLogger("hotconfig")


class Run(Generic[S]):
    """From start to close, or to the fork."""

    def __init__(self, settings: Settings[S], inherited: Content[S] | None, *, timeout: float) -> None:
        """Connect and load, at most `timeout` seconds; if that fails, serve what is inherited of this document.

        Raises what `Client.start` raises, and has then closed everything.
        """
        self.pid = os.getpid()
        self._settings = settings
        self._thread: threading.Thread | None = None
        document = settings.document_name()
        followed = inherited is not None and inherited.follows(settings.model, document)
        self.content = Content(settings.model, document, inherited.snapshot if inherited and followed else None)
        target = _conninfo.resolve(settings.conninfo)
        schema = _conninfo.schema_name(settings.schema)
        _fork.release()
        source = _source(target)
        self._stop = Stop()
        self._feed = source(document, self._stop, schema=schema, heartbeat=settings.heartbeat, timeout=timeout)
        try:
            item = next(self._feed)
            self.content.take(item)
            if self.content.snapshot is None and isinstance(item, Down) and isinstance(item.error, Unavailable):
                self._start_from_cache()
            if self.content.snapshot is None:
                raise self.content.status.error or HotConfigError("the feed ended")
            self._remember(item)
        except BaseException:
            self._end()
            raise

    @property
    def mine(self) -> bool:
        """Whether this process started it: a forked child inherits the object, not the thread."""
        return self.pid == os.getpid()

    def follow(self, swap: Callable[[Run[S]], bool]) -> None:
        """Go on in a thread of its own; `swap` takes over what is new, and says whether to go on."""
        document = self.content.status.document
        # Held weakly: a client that is forgotten ends.
        thread = threading.Thread(
            target=self._follow, args=(WeakMethod(swap),), name=f"hotconfig-{document}", daemon=True
        )
        try:
            thread.start()
        except BaseException:  # too many threads, or the interpreter is about to end
            self._end()
            raise
        self._thread = thread  # not before: one that has not started cannot be joined
        logger.info("%s: started at version %s", document, self.content.status.document_version)

    def _follow(self, swap: WeakMethod[Callable[[Run[S]], bool]]) -> None:
        time.sleep(0)  # whoever starts the client waits for this thread to begin, and need not wait for what it does
        try:
            with suppress(StopIteration):
                while True:
                    item = self._feed.send(self.content.wrong is not None)
                    before = self.content.snapshot
                    try:
                        self.content.take(item)
                    except Exception as error:  # noqa: BLE001  # whatever it is, a dead thread would be worse
                        self.content.failed(error)
                    take_over = swap()
                    if take_over is None or not take_over(self):
                        break
                    del take_over
                    if self.content.snapshot is not before:
                        self._remember(item)
        finally:
            self._end()

    def abandon(self) -> None:
        """End a run that is not followed."""
        self._end()

    def stop(self) -> None:
        """Tell the thread to end. In a forked child: give up what the parent uses."""
        self._stop.set()
        if not self.mine:
            self._stop.close()

    def join(self, timeout: float) -> None:
        """Wait for the thread, at most `timeout` seconds."""
        thread = self._thread
        if not self.mine or thread is None or thread is threading.current_thread():
            return
        thread.join(timeout)
        if thread.is_alive():
            logger.warning("thread %s has not ended in time; it will by itself", thread.name)
        else:
            logger.info("%s: stopped", self.content.status.document)

    def _end(self) -> None:
        self._feed.close()
        self._stop.close()

    def _start_from_cache(self) -> None:
        path, document = self._settings.cache, self.content.status.document
        json = None if path is None else _cache.read(Path(path), document)
        if json is None:
            return
        try:
            self.content.start_from(parse(self._settings.model, json, document))
        except InvalidConfig as error:
            logger.warning("the cache %s is not used: %s", path, error)

    def _remember(self, item: Item) -> None:
        path = self._settings.cache
        if path is None or not isinstance(item, Published) or item.json is None or self.content.rejected:
            return
        try:
            _cache.write(Path(path), self.content.status.document, item.json)
        except OSError as error:
            logger.warning("the cache %s cannot be written: %s", path, error.strerror)


def _source(target: Target) -> Callable[..., Feed]:
    """The feed from what the address names. Raises MissingExtra."""
    if not is_nats(target.conninfo):
        return partial(_postgres.feed, target=target)
    from hotconfig import _nats  # late: it loads asyncio and the vendor's client, which few need

    return partial(_nats.feed, address=parse_nats(str(target.conninfo)))
