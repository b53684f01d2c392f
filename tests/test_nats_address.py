"""nats://: what an address says, and the keys of a bucket."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hotconfig import Client, _nats_address, conninfo
from hotconfig._nats_address import Address, bucket_of, document_of, key_of, parse
from hotconfig.errors import Unavailable

SECRET = "s3cret"
NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=40)


def address(bucket: str = "hotconfig", *servers: tuple[str, int], tls: bool = False, **others: str) -> Address:
    return Address(servers or (("h", 4222),), bucket, tls, **others)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("nats://h", address()),
        ("nats://h/", address()),
        ("nats://h:4223/b", address("b", ("h", 4223))),
        ("nats://a,b:1,[::1],[::1]:2/b-1_X", address("b-1_X", ("a", 4222), ("b", 1), ("::1", 4222), ("::1", 2))),
        ("nats://u:p%40%2F@h", address(user="u", password="p@/")),
        ("nats://u:@h", address(user="u", password="")),
        ("nats://t%40ken@h", address(token="t@ken")),
        ("tls://h", address(tls=True)),
        ("nats://h?tls_ca=/ca.pem", address(tls=True, tls_ca="/ca.pem")),
        ("nats://h/b?tls_cert=/c&tls_key=%2Fk", address("b", tls=True, tls_cert="/c", tls_key="/k")),
        ("nats://h?credentials=/f", address(credentials="/f")),
    ],
)
def test_addresses(text: str, expected: Address) -> None:
    """Servers, bucket, who logs in and with which files; what is left out has its default."""
    assert parse(text) == expected


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (f"nats://u:{SECRET}@x@h", "written %40"),
        (f"nats://u:p/{SECRET}@h", "written %40"),
        (f"nats://u:p?{SECRET}@h/b", "as %3F"),
        ("nats://h/a.b", "a bucket's name is letters"),
        ("nats://h/a/b", "a bucket's name is letters"),
        ("nats://h/b?tls=true", "a parameter 'tls'"),
        ("nats://h/b?tls_ca=", "tls_ca in the URL names no file"),
        ("nats://h/b?tls_key=/k", "tls_key in the URL needs tls_cert"),
        ("nats://", "host or host:port"),
        ("nats://a,,b", "host or host:port"),
        ("nats://a:0", "host or host:port"),
        ("nats://a:65536", "host or host:port"),
        ("nats://::1", "host or host:port"),
        ("nats://a b", "host or host:port"),
    ],
)
def test_addresses_that_are_wrong(text: str, told: str) -> None:
    """The error says what is right, and nothing that may be of a password; a client cannot be made of it."""
    with pytest.raises(ValueError, match=told) as raised:
        parse(text)
    assert SECRET not in str(raised.value)
    with pytest.raises(ValueError, match=told):
        Client(text)


def test_what_is_shown_of_it() -> None:
    """Hosts and bucket; neither str nor repr has a password or token."""
    for text in (f"nats://u:{SECRET}@a:1,b/x?tls_ca=/f", f"nats://{SECRET}@a:1,b/x"):
        assert str(parse(text)) == "nats://a:1,b:4222/x" == conninfo.resolve(text).safe()
        assert SECRET not in repr(parse(text)) + repr(conninfo.resolve(text))


def test_it_is_no_address_of_postgresql() -> None:
    """Whoever needs PostgreSQL is told that this is for readers."""
    for text in ("nats://h/b", "tls://h/b"):
        with pytest.raises(Unavailable, match=r"nats://h:4222/b is for clients that read.* needs PostgreSQL"):
            conninfo.resolve(text).connect_params()


@given(NAMES)
def test_a_document_has_one_key(name: str) -> None:
    """Whatever it is called, and the key is one that a bucket takes, without dots but the first."""
    key = key_of(name)
    assert document_of(key) == name
    first, *rest = key.split(".")
    assert (first, len(rest)) == ("document", 1)
    assert set(rest[0]) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_/=")


@given(NAMES, NAMES)
def test_two_schemas_have_two_buckets(one: str, other: str) -> None:
    """Each installation has its own, of a name that a bucket may have; that of public is the address's."""
    assert (bucket_of(address("b"), one) == bucket_of(address("b"), other)) == (one == other)
    assert _nats_address.parse(f"nats://h/{bucket_of(address('b'), one)}").bucket.startswith("b")
    assert bucket_of(address("b"), "public") == "b"
