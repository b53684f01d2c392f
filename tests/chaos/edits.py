"""What writers do, at random: every kind of edit, by plain SQL, SQLAlchemy, Admin and the real psql.

Each transaction notes a mark that is found again in the history, and sets numbers that no other one sets. What is
rolled back sets numbers above FORBIDDEN, which nobody may ever see.
"""

from __future__ import annotations

import random
import subprocess
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, cast

import psycopg
import sqlalchemy as sa
from psycopg import IsolationLevel
from sessions import add_profile
from sqlalchemy.orm import Session
from sqlalchemy.orm.exc import StaleDataError

from hotconfig.admin import Admin
from hotconfig.errors import HotConfigError
from hotconfig.models import ConfigAIInfra, ConfigProfile

from .pair import Pair

FORBIDDEN = 1_000_000_000
NAMES = ["p0", "p1", "p2", "p3", "p4", "default"]
FLAGS = """
    CREATE TABLE flags (name text PRIMARY KEY, value int NOT NULL, used int NOT NULL DEFAULT 0);
    INSERT INTO flags VALUES ('a', 0), ('b', 0);
    CREATE FUNCTION flags_document() RETURNS jsonb LANGUAGE sql SECURITY DEFINER SET search_path = ''
    RETURN (SELECT jsonb_build_object('flags', jsonb_object_agg(name, value)) FROM public.flags);
"""

Connection = psycopg.Connection[Any]
Edit = Callable[[Connection, random.Random, int], int]
"""Returns how many rows it changed for good: if any, the history must have its mark."""

OF = "profile_id = (SELECT id FROM config_profiles WHERE name = %s)"


def one_field(connection: Connection, chance: random.Random, n: int) -> int:
    sql = f"UPDATE config_ai_infra SET llm_max_tokens = %s WHERE {OF}"
    return connection.execute(sql, [n, chance.choice(NAMES)]).rowcount


def several_tables(connection: Connection, chance: random.Random, n: int) -> int:
    name = chance.choice(NAMES)
    edits = [
        (f"UPDATE config_ai_infra SET llm_max_tokens = %s WHERE {OF}", [n, name]),
        (f"UPDATE config_prompts SET system_prompt = 'prompt ' || %s WHERE {OF}", [n, name]),
        (f"UPDATE config_genie_spaces SET space_name = 'space ' || %s WHERE {OF}", [n, name]),
    ]
    chance.shuffle(edits)
    return sum(connection.execute(sql, values).rowcount for sql, values in edits)


def all_profiles(connection: Connection, _: random.Random, n: int) -> int:
    return connection.execute("UPDATE config_ai_infra SET llm_max_tokens = %s", [n]).rowcount


def large_prompt(connection: Connection, chance: random.Random, n: int) -> int:
    sql = f"UPDATE config_prompts SET system_prompt = repeat('long ', 20000) || %s WHERE {OF}"
    return connection.execute(sql, [n, chance.choice(NAMES)]).rowcount


def create(connection: Connection, chance: random.Random, _: int) -> int:
    return add_profile(connection, chance.choice(NAMES)) and 1


def create_incomplete(connection: Connection, chance: random.Random, _: int) -> int:
    return connection.execute("INSERT INTO config_profiles (name) VALUES (%s)", [chance.choice(NAMES)]).rowcount


def delete(connection: Connection, chance: random.Random, _: int) -> int:
    sql = "DELETE FROM config_profiles WHERE name = %s AND NOT is_default"
    return connection.execute(sql, [chance.choice(NAMES)]).rowcount


def rename(connection: Connection, chance: random.Random, _: int) -> int:
    old, new = chance.sample(NAMES, 2)
    return connection.execute("UPDATE config_profiles SET name = %s WHERE name = %s", [new, old]).rowcount


def swap_names(connection: Connection, chance: random.Random, _: int) -> int:
    a, b = chance.sample(NAMES, 2)
    for old, new in ((a, "swapping"), (b, a), ("swapping", b)):
        if not connection.execute("UPDATE config_profiles SET name = %s WHERE name = %s", [new, old]).rowcount:
            raise psycopg.Rollback
    return 1


def activate(connection: Connection, chance: random.Random, _: int) -> int:
    name = chance.choice(NAMES)
    sql = """
        UPDATE config_profiles SET is_default = (name = %s)
        WHERE is_default <> (name = %s) AND EXISTS (SELECT FROM config_profiles WHERE name = %s)
    """
    return connection.execute(sql, [name, name, name]).rowcount


def truncate(connection: Connection, _: random.Random, n: int) -> int:
    connection.execute("CREATE TEMP TABLE kept ON COMMIT DROP AS TABLE config_prompts")
    connection.execute("TRUNCATE config_prompts")
    connection.execute("INSERT INTO config_prompts SELECT * FROM kept")
    sql = "UPDATE config_prompts SET slide_editing_instructions = 'truncated ' || %s"
    return connection.execute(sql, [n]).rowcount


def rolled_back_savepoint(connection: Connection, chance: random.Random, n: int) -> int:
    changed = one_field(connection, chance, n)
    with connection.transaction():
        all_profiles(connection, chance, FORBIDDEN + n)
        raise psycopg.Rollback
    return changed


def rolled_back(connection: Connection, chance: random.Random, n: int) -> int:
    all_profiles(connection, chance, FORBIDDEN + n)
    raise psycopg.Rollback


def in_the_middle(connection: Connection, chance: random.Random, n: int) -> int:
    changed = one_field(connection, chance, n)
    connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
    return changed + several_tables(connection, chance, n)


def without_parts(connection: Connection, _: random.Random, __: int) -> int:
    """Refused: the default profile would not be whole."""
    sql = "DELETE FROM config_prompts WHERE profile_id = (SELECT id FROM config_profiles WHERE is_default)"
    return connection.execute(sql).rowcount


def nothing(connection: Connection, _: random.Random, __: int) -> int:
    connection.execute("UPDATE config_ai_infra SET llm_max_tokens = llm_max_tokens")
    return 0


def own_table(connection: Connection, chance: random.Random, n: int) -> int:
    return connection.execute("UPDATE flags SET value = %s WHERE name = %s", [n, chance.choice("ab")]).rowcount


def both(connection: Connection, chance: random.Random, n: int) -> int:
    return own_table(connection, chance, n) + one_field(connection, chance, n)


EDITS: dict[Edit, int] = {
    one_field: 6,
    several_tables: 4,
    all_profiles: 2,
    large_prompt: 1,
    create: 2,
    create_incomplete: 1,
    delete: 2,
    rename: 2,
    swap_names: 1,
    activate: 3,
    truncate: 1,
    rolled_back_savepoint: 2,
    rolled_back: 2,
    in_the_middle: 2,
    without_parts: 1,
    nothing: 1,
    own_table: 3,
    both: 2,
}


OTHERS = {"psql": 2, "sqlalchemy": 4, "admin": 2}


@dataclass
class Writer:
    """Edits until it is told to stop. What became of each mark is in `confirmed` and `rolled_back`."""

    pair: Pair
    name: str
    seed: int
    stop: threading.Event
    confirmed: set[str] = field(default_factory=set)
    rolled_back: set[str] = field(default_factory=set)
    outcomes: Counter[str] = field(default_factory=Counter)
    surprises: list[str] = field(default_factory=list)
    chance: random.Random = field(default_factory=random.Random)
    _number: int = 0

    def run(self) -> None:
        while not self.stop.is_set():
            self._number += 1
            # Anew for each edit, so that its outcome does not change the next one's.
            self.chance = random.Random(f"{self.seed} {self.name} {self._number}")
            n = int(self.name) * 1_000_000 + self._number
            name = self.chance.choices([*EDITS, *OTHERS], [*EDITS.values(), *OTHERS.values()])[0]
            mark = f"{self.name}-{self._number} {getattr(name, '__name__', name)}"
            way = getattr(self, f"_{name}") if isinstance(name, str) else partial(self._sql, cast(Edit, name))
            try:
                with self.pair.turn():
                    outcome = way(mark, n)
            except (psycopg.OperationalError, sa.exc.OperationalError) as error:
                # A lost connection leaves open whether it was committed; a conflict or a deadlock does not.
                outcome = "lost link" if _state(error) is None or _state(error, "57P") else "conflict"
            except (psycopg.Error, sa.exc.DBAPIError, HotConfigError) as error:
                outcome = "refused"
                if _state(error, "XX") or _state(error, "42"):
                    self.surprises.append(f"{mark}: {error}")
            except subprocess.TimeoutExpired:
                outcome = "lost link"
            except StaleDataError:  # somebody deleted the row
                outcome = "conflict"
            except psycopg.Rollback:  # on a link that was lost before
                outcome = "rolled back"
            self.outcomes[outcome] += 1
            if outcome == "committed":
                self.confirmed.add(mark)
            elif outcome == "rolled back":
                self.rolled_back.add(mark)
            self.stop.wait(self.chance.expovariate(100))

    def _sql(self, edit: Edit, mark: str, n: int) -> str:
        with psycopg.connect(self.pair.direct()) as connection:
            connection.isolation_level = self.chance.choice([None, IsolationLevel.REPEATABLE_READ])
            changed = 0
            done = False
            with connection.transaction():
                connection.execute("SELECT set_config('hotconfig.note', %s, true)", [mark])
                changed = edit(connection, self.chance, n)
                done = True
            return "rolled back" if not done else "committed" if changed else "nothing"

    def _psql(self, mark: str, n: int) -> str:
        sql = f"SET hotconfig.note = '{mark}'; UPDATE flags SET value = {n} WHERE name = 'a'"
        psql = [str(self.pair.primary.bin / "psql"), "-Xq", "-v", "ON_ERROR_STOP=1", "-v", "VERBOSITY=sqlstate"]
        done = subprocess.run([*psql, "-c", sql, self.pair.direct()], check=False, capture_output=True, timeout=20)
        if done.returncode == 0:
            return "committed"
        if b"ERROR:  XX" in done.stderr or b"ERROR:  42" in done.stderr:
            self.surprises.append(f"{mark}: {done.stderr!r}")
        return "conflict" if b"ERROR:  40" in done.stderr else "lost link"

    def _sqlalchemy(self, mark: str, n: int) -> str:
        engine = sa.create_engine(
            "postgresql+psycopg://",
            creator=lambda: psycopg.connect(self.pair.direct()),
            poolclass=sa.NullPool,
            isolation_level=self.chance.choice(["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"]),
        )
        with Session(engine) as session, session.begin():
            session.execute(sa.select(sa.func.set_config("hotconfig.note", mark, True)))
            of = ConfigAIInfra.profile_id == ConfigProfile.id
            named = ConfigProfile.name == self.chance.choice(NAMES)
            settings = session.scalar(sa.select(ConfigAIInfra).join(ConfigProfile, of).where(named))
            if settings is None:
                return "nothing"
            settings.llm_max_tokens = n
        return "committed"

    def _admin(self, mark: str, n: int) -> str:
        with Admin(self.pair.direct(), note=mark, actor="chaos") as admin:
            written = admin.update(self.chance.choice(NAMES), {"ai_infra.llm_max_tokens": n})
        return "committed" if written.edits else "nothing"


def _state(error: Exception, prefix: str = "") -> str | None:
    original = error.orig if isinstance(error, sa.exc.DBAPIError) else error.__cause__ or error
    original = getattr(original, "orig", original)
    state: str | None = getattr(original, "sqlstate", None)
    return state if state and state.startswith(prefix) else None
