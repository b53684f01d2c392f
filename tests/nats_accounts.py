"""Operator, account and user of a NATS server that trusts what they have signed, and no password: as of `nsc`."""

from __future__ import annotations

import base64
import hashlib
import json
import os
from pathlib import Path

import nkeys

LIMITS = "subs", "data", "payload", "imports", "exports", "conn", "leaf"
JETSTREAM = "mem_storage", "disk_storage", "streams", "consumer"


class Keys:
    """A pair, and what is signed with it."""

    def __init__(self, prefix: int) -> None:
        raw = os.urandom(32)
        head = bytes([nkeys.PREFIX_BYTE_SEED | prefix >> 5, (prefix & 31) << 3])
        self.seed = _encoded(head + raw)
        self._pair = nkeys.from_seed(self.seed)
        self.public = self._pair.public_key.decode()

    def signed(self, subject: Keys, name: str, kind: str, **claims: object) -> str:
        """A token that says so."""
        body = {
            "iat": 0,
            "iss": self.public,
            "name": name,
            "sub": subject.public,
            "nats": {"type": kind, "version": 2, **claims},
        }
        body["jti"] = base64.b32encode(hashlib.sha256(json.dumps(body).encode()).digest()).decode().rstrip("=")
        parts = [{"typ": "JWT", "alg": "ed25519-nkey"}, body]
        text = ".".join(_url_safe(json.dumps(part).encode()) for part in parts)
        return f"{text}.{_url_safe(self._pair.sign(text.encode()))}"


class Operator:
    """With one account that may use JetStream, and the one of the system."""

    def __init__(self) -> None:
        self._keys = Keys(nkeys.PREFIX_BYTE_OPERATOR)
        self._account, self._system = (Keys(nkeys.PREFIX_BYTE_ACCOUNT) for _ in range(2))

    def settings(self) -> dict[str, str]:
        """Of the server."""
        account = self._keys.signed(self._account, "A", "account", limits=_unlimited(*LIMITS, *JETSTREAM))
        system = self._keys.signed(self._system, "SYS", "account", limits=_unlimited(*LIMITS))
        return {
            "operator": self._keys.signed(self._keys, "O", "operator"),
            "system_account": self._system.public,
            "resolver": "MEMORY",
            "resolver_preload": f"{{ {self._account.public}: {account}, {self._system.public}: {system} }}",
        }

    def user(self, path: Path) -> Path:
        """The credentials of a new user of the account, in this file."""
        keys = Keys(nkeys.PREFIX_BYTE_USER)
        token = self._account.signed(keys, "u", "user", **_unlimited("subs", "data", "payload"))
        path.write_text(
            f"-----BEGIN NATS USER JWT-----\n{token}\n------END NATS USER JWT------\n\n"
            f"-----BEGIN USER NKEY SEED-----\n{keys.seed.decode()}\n------END USER NKEY SEED------\n"
        )
        return path


def _unlimited(*names: str) -> dict[str, object]:
    return dict.fromkeys(names, -1)


def _encoded(raw: bytes) -> bytes:
    """As nkeys are written, with their checksum."""
    checksum = 0  # CRC-16/XMODEM
    for byte in raw:
        checksum ^= byte << 8
        for _ in range(8):
            checksum = (checksum << 1 ^ 0x1021 if checksum & 0x8000 else checksum << 1) & 0xFFFF
    return base64.b32encode(raw + checksum.to_bytes(2, "little")).rstrip(b"=")


def _url_safe(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")
