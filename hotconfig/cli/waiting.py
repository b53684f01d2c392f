"""Waiting until the fleet has a version, and saying who has not."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass

from hotconfig._fleet import process
from hotconfig.admin import Admin, Member
from hotconfig.cli import output
from hotconfig.cli.app import NotEverywhere
from hotconfig.errors import HotConfigError

NAMED = 10  # of those that have not, in a line for people


@dataclass(frozen=True, slots=True)
class Waited:
    """What came of it; `missing` is None if `trouble` hindered asking."""

    version: int
    seconds: float
    members: int
    missing: list[Member] | None
    trouble: str = ""

    def as_json(self) -> dict[str, object]:
        missing = None if self.missing is None else [asdict(member) for member in self.missing]
        return {"seconds": round(self.seconds, 3), "members": self.members, "missing": missing}

    def conclude(self, *, as_json: bool) -> None:
        """Say that all have it. Raises NotEverywhere that says who has not."""
        if self.missing is None:
            raise NotEverywhere(f"version {self.version} is committed, but who has it is not known: {self.trouble}")
        if self.missing:
            told = [_told(member, self.version) for member in self.missing[:NAMED]]
            if len(self.missing) > NAMED:
                told.append(f"and {len(self.missing) - NAMED} more")
            if any(member.rejected for member in self.missing):
                hint = "the log of a process that rejects it says why; correct the value, or roll back"
            else:
                hint = f"`hotconfig wait {self.version}` waits on, `hotconfig fleet --watch` shows who has it"
            raise NotEverywhere(
                f"version {self.version} is committed, but after {self.seconds:.1f} s not everywhere: "
                f"{', '.join(told)}. Next: {hint}."
            )
        if not as_json:
            who = {0: "nobody is running who would need", 1: "the one running client has"}
            has = who.get(self.members, f"all {self.members} running clients have")
            with output.whoever_reads():
                output.say(f"{has} version {self.version} ({self.seconds:.1f} s)")


def wait(admin: Admin, version: int, timeout: float) -> Waited:
    """Wait for the fleet. Ctrl-C ends the waiting, and what has come of it counts."""
    began = time.monotonic()
    try:
        missing = admin.wait_applied(version, timeout=timeout)
    except KeyboardInterrupt:
        missing = admin.wait_applied(version, timeout=0)
    seconds = time.monotonic() - began
    return Waited(version, seconds, len(admin.fleet()), missing)


def wait_after_commit(admin: Admin, version: int, timeout: float) -> Waited:
    """The same. Whatever happens now, the version is committed, and no error may say otherwise."""
    began = time.monotonic()
    try:
        return wait(admin, version, timeout)
    except HotConfigError as error:
        return Waited(version, time.monotonic() - began, 0, None, str(error))


def shown(document: str) -> str:
    """The document that a member follows, for people."""
    return "the default profile" if document == "active" else output.shown(document)


def _told(member: Member, version: int) -> str:
    who = f"{process(member)} ({shown(member.document)})"
    if member.version < version:
        return f"{who} is at version {member.version}"
    if member.rejected:
        return f"{who} rejects it"
    return f"{who} is at version {member.version}, which the database has lost"
