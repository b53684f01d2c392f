"""cache=: a process starts while its database is down, from a file that nobody else could have written."""

from __future__ import annotations

import logging
import os
import stat
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from editing import Editor, eventually
from feeds import Where

from hotconfig import Client, InvalidConfig, NoSuchProfile, ProfileConfig, Snapshot, Unavailable, _cache

NOWHERE = "postgresql://127.0.0.1:1/nowhere"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "config"


@pytest.fixture
def remembered(where: Where, path: Path) -> ProfileConfig:
    """The snapshot that a process before this one left in the cache."""
    with Client(where.url, cache=path) as client:
        return client.current()


def test_a_start_while_the_database_is_down(
    remembered: ProfileConfig, database: str, path: Path, editor: Editor
) -> None:
    """It serves what is remembered, stale and with the error; later it is live, without a restart."""
    address = NOWHERE
    with Client(lambda: address, cache=path) as client:
        assert client.current() == remembered
        status = client.status()
        assert (status.state, status.document_version, status.version) == ("stale", remembered.version, None)
        assert isinstance(status.error, Unavailable)
        assert (status.staleness, status.checked_at) == (None, None)
        assert not status.healthy
        newest = editor.temperature(0.1)

        address = database

        assert client.wait_for(newest, timeout=20).ai_infra.llm_temperature == 0.1
        assert client.status().healthy
        assert client.status().reconnects == 0


def test_without_a_cache_the_start_fails(path: Path) -> None:
    """A file that is not there is no error of its own."""
    with pytest.raises(Unavailable):
        Client(NOWHERE, cache=path).start()
    assert not path.exists()


def test_every_version_is_remembered(where: Where, path: Path, editor: Editor) -> None:
    """The file follows the snapshot, for the owner's eyes only, and nothing is left beside it."""
    with Client(where.url, cache=str(path)) as client:
        first = path.read_bytes()
        client.wait_for(editor.temperature(0.1))
        eventually(lambda: path.read_bytes() != first)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(path.parent.iterdir()) == [path]
    with Client(NOWHERE, cache=path) as client:
        assert client.current().ai_infra.llm_temperature == 0.1


def test_a_rejected_version_is_not_remembered(where: Where, path: Path, editor: Editor) -> None:
    """The file keeps the last good document."""

    class Own(Snapshot):
        n: int

    editor.publish("own", '{"n": 1}')
    with Client(where.url, model=Own, document="own", cache=path) as client, pytest.raises(InvalidConfig):
        client.wait_for(editor.publish("own", '{"n": "x"}'))
    with Client(NOWHERE, model=Own, document="own", cache=path) as client:
        assert client.current().n == 1


def damage(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"0.7", b"0.8"))


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def label_as_of_another_format(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"hotconfig 1 ", b"hotconfig 2 "))


def open_to_others(path: Path) -> None:
    path.chmod(0o622)


def give_away(path: Path) -> None:
    os.chown(path, 12345, -1)


def make_a_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


WAYS = [damage, truncate, empty, label_as_of_another_format, open_to_others, make_a_directory]
if hasattr(os, "getuid") and os.getuid() == 0:
    WAYS.append(give_away)


@pytest.mark.parametrize("spoil", WAYS)
def test_a_file_that_cannot_be_trusted(
    remembered: ProfileConfig, path: Path, caplog: pytest.LogCaptureFixture, spoil: Callable[[Path], None]
) -> None:
    """It is as good as absent: the start fails as it would without one, and a warning names the file."""
    spoil(path)

    with pytest.raises(Unavailable):
        Client(NOWHERE, cache=path).start()

    assert [str(path) in record.getMessage() for record in caplog.records] == [True]
    assert caplog.records[0].levelno == logging.WARNING


def test_a_file_of_another_document(remembered: ProfileConfig, path: Path) -> None:
    """Two clients that share a file do not take each other's document."""
    with pytest.raises(Unavailable):
        Client(NOWHERE, profile="default", cache=path).start()


def test_a_file_of_an_older_model(remembered: ProfileConfig, path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A document that does not fit the model of this release is not used."""

    class Newer(ProfileConfig):
        required: int

    with pytest.raises(Unavailable):
        Client(NOWHERE, model=Newer, cache=path).start()
    assert "required" in caplog.text


def test_the_database_has_the_last_word(remembered: ProfileConfig, where: Where, path: Path) -> None:
    """The cache is for a server that cannot be reached; what the server says stands."""
    with pytest.raises(NoSuchProfile):
        Client(where.url, profile="x", cache=path).start()


def test_a_file_that_cannot_be_written(where: Where, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The client works on without, and says so."""
    with Client(where.url, cache=tmp_path / "missing" / "config") as client:
        assert client.status().healthy
    assert "cannot be written: No such file" in caplog.text


def test_a_reader_never_sees_half_a_file(path: Path) -> None:
    """While one process replaces it, others read the old or the new one."""
    old, new = b'{"n": 1}' * 10_000, b'{"n": 2}' * 20_000
    _cache.write(path, "own", old)
    ended = threading.Event()

    def replace() -> None:
        for _ in range(50):
            _cache.write(path, "own", new)
            _cache.write(path, "own", old)
        ended.set()

    writer = threading.Thread(target=replace)
    writer.start()
    seen = set()
    while not ended.is_set():
        seen.add(_cache.read(path, "own"))
    writer.join()

    assert seen <= {old, new}
