"""What libpq or a server said, as an error that says what to do next."""

from __future__ import annotations

from hotconfig.conninfo import Target
from hotconfig.errors import HotConfigError, NotMigrated, Unavailable


def unavailable(message: str, target: Target | None = None, sqlstate: str = "") -> Unavailable:
    """What libpq or the server said, and what to do next."""
    text = " ".join(message.split())
    known_as = f"{text} {MEANING.get(sqlstate, '')}"
    step = next(step for known, step in NEXT_STEPS if known in known_as)
    if target and target.is_default:
        step = "set HOTCONFIG_DATABASE_URL, or give start() an address; for a try-out, `embedded:`"
    where = f"cannot use PostgreSQL at {target}" if target else "cannot use PostgreSQL"
    return Unavailable(f"{where}: {text.rstrip('.?')}. Next: {step}.")


# In whatever language the server speaks.
MEANING = {"42501": "permission denied", "55P03": "lock timeout", "57014": "statement timeout"}
NEXT_STEPS = (
    ("permission denied", "GRANT hotconfig_reader TO the role that connects"),
    ("pg_hba.conf", "let pg_hba.conf admit this host, user and database"),
    ("password", "check the user and the password, or the callable that returns them"),
    ("authentication failed", "check the user and the server's pg_hba.conf"),
    ('role "', "create the role, or correct the user in the address"),
    ('database "', "create the database, or correct its name in the address"),
    ("too many", "raise max_connections, or close connections"),
    ("connection slots", "raise max_connections, or close connections"),
    ("certificate", "check sslmode, sslrootcert and the server's certificate"),
    ("could not match", "give one port, or one for each host"),
    ("connect_timeout", "write it in whole seconds"),
    ("SSL", "check sslmode, sslrootcert, and whether the server offers TLS"),
    ("translate host name", "correct the host in the address"),
    ("statement timeout", "raise the role's statement_timeout, or look for what holds up hotconfig's tables"),
    (
        "lock timeout",
        "look for an open ALTER TABLE or an edit that is not committed: pg_stat_activity, pg_blocking_pids()",
    ),
    ("needs PostgreSQL", "use a newer server"),
    ("config_state is empty", "restore its row from a backup"),
    ("", "check that the server runs and can be reached from here"),
)


def refusal(sqlstate: str, message: str, target: Target, schema: str) -> HotConfigError:
    """What the server answered, as one of hotconfig's errors."""
    if sqlstate in ("42P01", "3F000"):
        return NotMigrated(
            f"{target} has no hotconfig tables in schema {schema!r}: "
            "run `hotconfig migrate`, or call hotconfig.migrations.upgrade(), or name the schema"
        )
    return unavailable(message, target, sqlstate)
