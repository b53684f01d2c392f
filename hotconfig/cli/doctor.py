"""doctor: is everything as it should be?"""

from __future__ import annotations

from dataclasses import asdict

import typer

from hotconfig import _doctor
from hotconfig.cli import options, output
from hotconfig.cli.app import FAILED, verb

STYLES = {"ok": "green", "warning": "yellow", "failure": "bold red"}


@verb("hotconfig doctor --json")
def doctor(*, database: options.Database = None, schema: options.Schema = None, as_json: options.Json = False) -> None:
    """Check the whole way of an edit; exit code 1 if something is broken."""
    findings = []
    for finding in _doctor.findings(database, schema=schema):
        findings.append(finding)
        if not as_json:
            output.say((f"{finding.state:<8}", STYLES[finding.state]), f"{finding.check:<14}{finding.text}")
            if finding.state != "ok":
                output.say(f"{'':22}why: {finding.why}")
                output.say(f"{'':22}do:  ", (finding.mend, "cyan"))
    failed = any(finding.state == "failure" for finding in findings)
    if as_json:
        output.print_json({"healthy": not failed, "findings": [asdict(finding) for finding in findings]})
    if failed:
        raise typer.Exit(FAILED)
