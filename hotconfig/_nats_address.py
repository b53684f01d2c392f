"""`nats://`: what the address of a bucket says, and what it calls the keys in it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote

SCHEMES = ("nats://", "tls://")
BUCKET = "hotconfig"
FILES = ("credentials", "tls_ca", "tls_cert", "tls_key")
PORT = 4222
LONGEST = 2000  # characters of a key: a server ends the connection at a line of 4096 bytes

_EXAMPLE = "right is for example nats://user:password@host:4222,host2:4222/bucket?tls_ca=/path"


@dataclass(frozen=True, slots=True)
class Address:
    """Servers of one NATS cluster, and the bucket there.

    Attributes:
        servers: `host` and `port` of each.
        bucket: a JetStream key-value bucket; one for each database that is relayed.
        tls: whether the scheme asks for it; a server may ask for it too.
        user, password, token: as they stand before the @.
        credentials: a file with a JWT and its nkey seed, as `nsc` writes it.
        tls_ca, tls_cert, tls_key: files of PEM.
    """

    servers: tuple[tuple[str, int], ...]
    bucket: str
    tls: bool
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)
    credentials: str | None = None
    tls_ca: str | None = None
    tls_cert: str | None = None
    tls_key: str | None = None

    def __str__(self) -> str:
        """Hosts and bucket, without what is secret."""
        return f"nats://{','.join(f'{host}:{port}' for host, port in self.servers)}/{self.bucket}"


def is_nats(conninfo: object) -> bool:
    return isinstance(conninfo, str) and conninfo.startswith(SCHEMES)


def parse(conninfo: str) -> Address:
    """The address of a URL `nats://[user:password@|token@]host[:port][,...][/bucket][?file=path&...]`.

    Raises:
        ValueError: what is wrong with it; no error repeats a part that may be of a password.
    """
    scheme, _, rest = conninfo.partition("://")
    base, _, query = rest.partition("?")
    authority, _, bucket = base.partition("/")
    login, at, hosts = authority.rpartition("@")
    if "@" in login or "@" in bucket or "@" in query.partition("=")[0]:
        raise ValueError(
            f"the URL has an @ where none can be: in user and password it is written %40, and ? as %3F; {_EXAMPLE}"
        )
    bucket = bucket.rstrip("/") or BUCKET
    if not re.fullmatch(r"[A-Za-z0-9_-]+", bucket):
        raise ValueError(f"a bucket's name is letters, digits, - and _; {_EXAMPLE}")
    options = dict(parse_qsl(query, keep_blank_values=True))
    if unknown := sorted(options.keys() - set(FILES)):
        raise ValueError(f"the URL has a parameter {unknown[0]!r}; there are {', '.join(FILES)}")
    if empty := [name for name, path in options.items() if not path]:
        raise ValueError(f"{empty[0]} in the URL names no file")
    if "tls_key" in options and "tls_cert" not in options:
        raise ValueError("tls_key in the URL needs tls_cert")
    user, colon, password = login.partition(":")
    return Address(
        servers=tuple(_server(host) for host in hosts.split(",")),
        bucket=bucket,
        tls=scheme == "tls" or any(name.startswith("tls_") for name in options),
        user=unquote(user) if colon else None,
        password=unquote(password) if colon else None,
        token=unquote(login) if at and not colon else None,
        **options,
    )


def _server(text: str) -> tuple[str, int]:
    found = re.fullmatch(r"(\[[0-9A-Fa-f:.]+\]|[^\s:\[\]]+)(?::([0-9]{1,5}))?", text)
    port = int(found[2] or PORT) if found else 0
    if not found or not 0 < port < 65536:
        raise ValueError(f"the URL's hosts are host or host:port, with commas between; {_EXAMPLE}")
    return found[1].strip("[]"), port


def bucket_of(address: Address, schema: str) -> str:
    """The bucket of an installation: in one database there may be several, in schemas of their own."""
    return address.bucket if schema == "public" else f"{address.bucket}-{_escaped(schema, '-', '')}"


def key_of(document: str) -> str:
    """A document's key: whatever a bucket cannot take stands as = and two hexadecimal digits of UTF-8."""
    return f"document.{_escaped(document, '=', '-_/')}"


def document_of(key: str) -> str:
    """The document of such a key; of one that is none, a name that has another key."""
    escaped = key.removeprefix("document.").encode()
    name = re.sub(rb"=([0-9A-F]{2})", lambda found: bytes([int(found[1], 16)]), escaped).decode(errors="replace")
    return name.replace("\0", "\ufffd")  # which PostgreSQL does not take


def _escaped(text: str, mark: str, also: str) -> str:
    return "".join(
        character
        if character.isascii() and (character.isalnum() or character in also)
        else "".join(f"{mark}{byte:02X}" for byte in character.encode())
        for character in text
    )
