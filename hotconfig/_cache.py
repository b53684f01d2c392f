"""The last good document on disk, so that a process starts while the database is down.

One line of header, then the document: `hotconfig 1 <sha256 of the document's name and bytes>`. Whatever is not exactly
that is as good as absent: a cache can be missing, but never wrong.
"""

from __future__ import annotations

import hashlib
import logging
import os
import stat
import tempfile
from pathlib import Path

logger = logging.getLogger("hotconfig")


def read(path: Path, document: str) -> bytes | None:
    """The document, or None if there is none that can be trusted (logged, if there is a file)."""
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            header, _, json = file.read().partition(b"\n")
    except FileNotFoundError:
        return None
    except OSError as error:
        logger.warning("the cache %s cannot be read: %s", path, error.strerror)
        return None
    if hasattr(os, "getuid") and (status.st_uid != os.getuid() or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)):
        logger.warning("the cache %s is not used: another user could have written it", path)
        return None
    if header != _header(document, json):
        logger.warning("the cache %s is not used: it is damaged, or of another document than %s", path, document)
        return None
    return json


def write(path: Path, document: str, json: bytes) -> None:
    """Replace the file at once, for the owner's eyes only. Raises OSError."""
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # 0600
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(_header(document, json) + b"\n" + json)
        Path(temporary).replace(path)
    except OSError:
        Path(temporary).unlink()
        raise


def _header(document: str, json: bytes) -> bytes:
    digest = hashlib.sha256(document.encode() + b"\0" + json).hexdigest()
    return f"hotconfig 1 {digest}".encode()
