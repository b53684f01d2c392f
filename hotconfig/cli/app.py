"""The Typer application: what all verbs share, and how every one of them fails."""

from __future__ import annotations

import io
import os
import signal
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import version
from typing import Annotated, Any, NoReturn, TypeVar

import psycopg
import sqlalchemy as sa
import typer
from typer.core import TyperGroup

from hotconfig.cli import output
from hotconfig.errors import (
    HotConfigError,
    InvalidConfig,
    MissingExtra,
    NoDefaultProfile,
    NoSuchProfile,
    NotMigrated,
    VersionConflict,
)

Verb = TypeVar("Verb", bound=Callable[..., None])

FAILED, USAGE, NOT_EVERYWHERE, CONFLICT = 1, 2, 3, 4
INTERRUPTED = 128 + signal.SIGINT  # as shells have it

# Click's, wherever Typer has it: newer versions bring a copy of their own.
UsageError: type[Exception] = typer.BadParameter.__mro__[1]

# For --json, where the message does not say it behind "Next:".
HINTS: dict[type[HotConfigError], str] = {
    NotMigrated: "run `hotconfig migrate`",
    NoDefaultProfile: "run `hotconfig init`, or name a profile",
    NoSuchProfile: "`hotconfig profiles` lists them",
    InvalidConfig: "correct the value",
    VersionConflict: "look at the newer change, then edit again",
    MissingExtra: 'pip install "hotconfig[embedded]"',
}


class NotEverywhere(HotConfigError):
    """A version is committed, but not everybody has it."""


class Interrupted(HotConfigError):
    """Ctrl-C, in a verb that does not end with it."""


# Of the errors whose exit code is not FAILED.
CODES: dict[type[HotConfigError], int] = {
    NotEverywhere: NOT_EVERYWHERE,
    VersionConflict: CONFLICT,
    Interrupted: INTERRUPTED,
}

# What other programs call a verb. What is only mistyped Typer finds by itself.
SYNONYMS = {
    **dict.fromkeys(("get", "cat", "print", "read"), "show"),
    **dict.fromkeys(("put", "update", "write"), "set"),
    **dict.fromkeys(("list", "ls"), "profiles"),
    **dict.fromkeys(("log", "audit", "blame"), "history"),
    **dict.fromkeys(("undo", "revert", "restore"), "rollback"),
    **dict.fromkeys(("follow", "tail", "subscribe"), "watch"),
    **dict.fromkeys(("check", "status", "health", "validate"), "doctor"),
    **dict.fromkeys(("upgrade", "install"), "migrate"),
    **dict.fromkeys(("serve", "start", "run"), "dev"),
}


class _Verbs(TyperGroup):
    """Turns every error into one line on stderr and an exit code."""

    def invoke(self, ctx: typer.Context) -> Any:  # type: ignore[override]  # Typer's is Click's, a copy of it or not
        try:
            done = super().invoke(ctx)
            sys.stdout.flush()  # here and not at the exit, where nobody could catch what comes of it
        except BrokenPipeError:
            output.give_up_stdout()  # whoever read has enough
            raise typer.Exit from None
        except KeyboardInterrupt:
            raise Interrupted("interrupted. Next: `hotconfig history` shows what was saved.") from None
        return done

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        wanted = SYNONYMS.get(args[0]) if args else None
        if wanted in self.commands and args[0] not in self.commands:
            ctx.fail(f"No such command {args[0]!r}. Did you mean {wanted!r}?")
        return super().resolve_command(ctx, args)

    def main(self, args: Sequence[str] | None = None, *others: Any, **extra: Any) -> NoReturn:
        _open_streams()
        arguments = list(sys.argv[1:] if args is None else args) or ["--help"]
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="backslashreplace")  # a terminal that knows no UTF-8
        try:
            code = super().main(arguments, *others, **{**extra, "standalone_mode": False})
        except UsageError as error:
            context = getattr(error, "ctx", None)
            hint = f"see `{context.command_path if context else 'hotconfig'} --help`"
            message = error.format_message() if hasattr(error, "format_message") else str(error)
            code = _failed(arguments, "UsageError", message, hint, USAGE)
        except typer.Abort:
            code = _failed(arguments, "Aborted", "nothing was changed", "", FAILED)
        except HotConfigError as error:
            message, _, hint = str(error).partition(" Next: ")
            hint = hint.rstrip(".") or next((HINTS[kind] for kind in type(error).__mro__ if kind in HINTS), "")
            shown = message if output.as_json(arguments) else str(error)
            code = next((CODES[kind] for kind in type(error).__mro__ if kind in CODES), FAILED)
            code = _failed(arguments, type(error).__name__, shown, hint, code)
        except ValueError as error:
            named = "" if arguments[0].startswith("-") else f" {arguments[0]}"
            code = _failed(arguments, "UsageError", str(error), f"see `hotconfig{named} --help`", USAGE)
        except (OSError, sa.exc.SQLAlchemyError, psycopg.Error) as error:
            code = _failed(arguments, type(error).__name__, str(error), "run `hotconfig doctor`", FAILED)
        sys.exit(code if isinstance(code, int) else 0)


def _open_streams() -> None:
    """Give a process that was started without one of its streams (`>&-`) one that leads nowhere.

    Else the next connection would get the number of the stream that is missing, and what is printed.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: PTH123, SIM115  # for as long as the process lives


def _failed(arguments: Sequence[str], error: str, message: str, hint: str, code: int) -> int:
    if output.as_json(arguments):
        output.failure_as_json(error, message, hint)
    else:
        # The messages of hotconfig itself say what to do; those of the others do not.
        output.failure(f"{message.rstrip('.')}; {hint}" if error == "UsageError" else message)
    return code


app = typer.Typer(
    name="hotconfig",
    cls=_Verbs,
    help="Typed configuration in every process, fresh from PostgreSQL.",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="The database: --database, else HOTCONFIG_DATABASE_URL, else DATABASE_URL; libpq's PGPASSWORD, PGSSLMODE "
    "and others fill in what that leaves out.\n\n"
    "The profile: --profile, else HOTCONFIG_PROFILE, else the default profile. The schema of hotconfig's tables: "
    "--schema, else HOTCONFIG_SCHEMA, else public.\n\n"
    "The editor: VISUAL, else EDITOR, else vi. Colours: on a terminal, unless NO_COLOR is set.\n\n"
    "Exit codes: 0 done, 1 nothing was changed, 2 usage, 3 committed but not everywhere within --wait, "
    "4 version conflict, 130 interrupted.",
)


def _print_version(wanted: bool) -> None:
    if wanted:
        output.say(f"hotconfig {version('hotconfig')}")
        raise typer.Exit


@app.callback()
def _verbs(
    *,
    _version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_print_version, help="Show the version and exit.")
    ] = False,
) -> None:
    """Typed configuration in every process, fresh from PostgreSQL."""


def verb(example: str, name: str | None = None, group: typer.Typer = app) -> Callable[[Verb], Verb]:
    """Register a verb under its function's name; the example stands at the end of its help."""
    return group.command(name, epilog=f"Example: {example}")


def main() -> NoReturn:
    """Run the command line with the arguments of this process."""
    app(prog_name="hotconfig")
    raise AssertionError("a group exits")
