"""Random transactions against a model: after every step the database and a client are as the model says."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain
from typing import ClassVar
from uuid import UUID

import psycopg
import pytest
import statements
import watching
from conftest import Connect
from editing import FOREVER
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from model import Json, Published, Row, State
from sessions import PATIENCE
from statements import TABLES, Setting, Step

from hotconfig import Client

RESET = """
    SET session_replication_role = replica;
    TRUNCATE config_profiles, config_ai_infra, config_genie_spaces, config_mlflow, config_prompts, config_history,
        config_documents, templates;
    UPDATE config_state SET version = 0, token = gen_random_uuid(), txid = NULL, began = NULL;
    RESET session_replication_role;
"""
HISTORY = f"SELECT {', '.join(Row._fields)} FROM config_history ORDER BY id"

# Few of each, so that edits meet.
ODD = "profile/'%_\" é"
NAMES = ["default", "a", "b", "c", ODD]
SETTINGS: list[Setting] = [
    ("ai_infra", "llm_temperature", 0.25),
    ("ai_infra", "llm_temperature", 1.01),
    ("ai_infra", "llm_max_tokens", 200),
    ("genie", "description", None),
    ("genie", "description", ""),
    ("genie", "space_name", "{{é}}\n"),
    ("mlflow", "experiment_name", "/y"),
    ("mlflow", "experiment_name", "relative"),
    ("prompts", "system_prompt", '"%s \\\n'),
    ("prompts", "user_prompt_template", "{question}?"),
]
NOTHING = [
    "UPDATE config_ai_infra SET llm_max_tokens = llm_max_tokens",
    "UPDATE config_profiles SET name = name, is_default = is_default",
    "UPDATE config_prompts SET system_prompt = 'x' WHERE false",
    "UPDATE templates SET used = used + 1",
    "SELECT config_touch()",
]
DOCUMENTS: list[Json | None] = [None, {}, {"a": 1}, {"a": None}, {"a": {"x": 1}}, {"a": {"x": None}, "b": [1]}]

key = st.integers(2, 12)
name = st.sampled_from(NAMES)
# What an example begins with: others would be refused too often.
complete = st.sampled_from(["default", "a", "a", *NAMES])
empty = st.sampled_from(["b", "b", *NAMES])
new = st.sampled_from(["c", ODD, *NAMES])
names = st.sampled_from([*([each] for each in NAMES), NAMES])
domain = st.sampled_from(sorted(TABLES))
template = st.integers(1, 2)

configure = st.builds(statements.configure, names, st.sampled_from(SETTINGS))
write_template = st.builds(statements.write_template, template, st.sampled_from(["one", "two"]))
of_profiles = st.one_of(
    st.builds(statements.describe, names, st.sampled_from([None, "", "d"])),
    st.builds(statements.activate, complete),
    st.builds(statements.activate, name),
    st.builds(statements.rename, name, new),
    st.builds(statements.swap, name, name),
    st.builds(statements.take_over, name, name),
    st.builds(statements.create, key, new),
    st.builds(statements.create_complete, key, new),
    st.builds(statements.recreate, key, name),
    st.builds(statements.delete, names),
)
of_settings = st.one_of(
    configure,
    st.builds(statements.without_triggers, configure),
    st.builds(statements.add, names, domain),
    st.builds(statements.remove, names, domain),
    st.builds(statements.move, complete, empty, domain),
    st.builds(statements.truncate_and_copy_back, domain),
)
of_ones_own = st.one_of(
    write_template,
    st.builds(statements.without_triggers, write_template),
    st.builds(statements.delete_template, template),
    st.builds(statements.truncate_templates),
    st.builds(statements.publish, st.sampled_from(DOCUMENTS)),
)
others = st.one_of(
    st.builds(statements.nothing, st.sampled_from(NOTHING)),
    st.builds(statements.sign, st.sampled_from(["", "alice"]), st.sampled_from(["", "because"])),
    # Refused, but for what the transaction has done before or does afterwards:
    st.builds(statements.make_default, name),
    st.builds(statements.create, key, name, is_default=st.just(True)),
    st.builds(statements.truncate, domain),
    st.builds(statements.truncate_profiles),
)


def in_turn(groups: list[Step | tuple[Step, ...]]) -> list[Step]:
    return [*chain.from_iterable([group] if isinstance(group, Step) else group for group in groups)]


def some(statement: st.SearchStrategy[Step | tuple[Step, ...]]) -> st.SearchStrategy[list[Step]]:
    return st.lists(statement, min_size=1, max_size=3).map(in_turn)


class Edits(RuleBasedStateMachine):
    """A session that edits, one that looks on, and a client.

    `states` are what is committed, what the transaction sees, and what each savepoint within sees.
    """

    editor: ClassVar[psycopg.Connection]
    observer: ClassVar[psycopg.Connection]

    def __init__(self) -> None:
        super().__init__()
        self.editor.execute(RESET)
        self.states = [State()]
        self.tokens: dict[int, UUID] = {}
        default = statements.create_complete(1, "default", is_default=True)
        another = statements.create_complete(2, "a")
        self._edit([*default, *another, statements.create(3, "b"), statements.write_template(1, "one")])
        self.client = Client(self.editor.info.dsn, heartbeat=FOREVER)
        self.last_good: Json = {}

    def teardown(self) -> None:
        self.client.close()
        self.editor.execute("ROLLBACK")

    @property
    def open(self) -> bool:
        return len(self.states) > 1

    @property
    def nested(self) -> bool:
        return len(self.states) > 2

    @precondition(lambda self: not self.open)
    @rule()
    def begin(self) -> None:
        self.editor.execute("BEGIN")
        self.states.append(self.states[0])

    @precondition(lambda self: self.open)
    @rule(commits=st.sampled_from([True, True, True, False]))
    def end(self, commits: bool) -> None:
        if commits:
            self._commit()
        else:
            self.editor.execute("ROLLBACK")
            del self.states[1:]

    @precondition(lambda self: self.open)
    @rule()
    def savepoint(self) -> None:
        self.editor.execute("SAVEPOINT s")
        self.states.append(self.states[-1])

    @precondition(lambda self: self.nested)
    @rule()
    def release(self) -> None:
        self.editor.execute("RELEASE s")
        del self.states[-2]

    @precondition(lambda self: self.nested)
    @rule()
    def rollback_to_savepoint(self) -> None:
        self._undo()

    @precondition(lambda self: self.open)
    @rule(which=st.sampled_from(["ALL", "config_at_commit"]), immediate=st.sampled_from([True, True, False]))
    def constrain(self, which: str, immediate: bool) -> None:
        self._edit([statements.constrain(which, immediate=immediate)])

    @rule(steps=some(of_profiles))
    def edit_profiles(self, steps: Sequence[Step]) -> None:
        self._edit(steps)

    @rule(steps=some(of_settings))
    def edit_settings(self, steps: Sequence[Step]) -> None:
        self._edit(steps)

    @rule(steps=some(of_ones_own))
    def edit_ones_own(self, steps: Sequence[Step]) -> None:
        self._edit(steps)

    @rule(steps=some(of_profiles | of_settings | of_ones_own | others))
    def edit(self, steps: Sequence[Step]) -> None:
        self._edit(steps)

    @invariant()
    def agrees(self) -> None:
        """The editor sees its edits, others what is committed, and the client the last good document of it."""
        committed = self.states[0]
        if self.open:
            self._compare(self.editor, self.states[-1])
        self.tokens |= self._compare(self.observer, committed)

        self.client.wait_for(committed.version, timeout=PATIENCE)
        version, document = committed.published["active"]
        if document is not None:
            self.last_good = {**document, "version": version}
        assert self.client.current().model_dump() == self.last_good
        assert (self.client.status().error is None) == (document is not None)

    def _compare(self, session: psycopg.Connection, state: State) -> dict[int, UUID]:
        """The version's token."""
        ((version, token),) = session.execute("SELECT version, token FROM config_state").fetchall()
        documents = session.execute("SELECT name, version, document, token FROM config_documents").fetchall()
        history = [Row(*row) for row in session.execute(HISTORY)]

        assert version == state.version
        assert {name: Published(*rest) for name, *rest, _ in documents} == state.published
        assert self.tokens.get(version, token) == token
        tokens = {**self.tokens, version: token}
        assert len(set(tokens.values())) == len(tokens)
        assert [token for *_, token in documents] == [tokens[version] for _, version, *_ in documents]

        assert [row.version for row in history] == sorted(row.version for row in history)
        # Within a version the order is that within a document: with immediate constraints each row publishes.
        assert sorted(history, key=_document) == sorted(state.history, key=_document)
        return {version: token}

    def _edit(self, steps: Sequence[Step]) -> None:
        """In a transaction of its own if none is open. What is refused is rolled back, to the last savepoint."""
        alone = not self.open
        if alone:
            self.begin()
        for step in steps:
            after = self._expect(partial(_after, step, self.states[-1]), step.sql, step.params)
            if after is None:
                self._undo()
                return
            self.states[-1] = after
        if alone:
            self._commit()

    def _commit(self) -> None:
        after = self._expect(self.states[-1].publish, "COMMIT")
        if after:
            self.states[0] = replace(after, actor="postgres", note=None, immediate=False, has_version=False)
        del self.states[1:]

    def _undo(self) -> None:
        """Back to the last savepoint, or to the beginning."""
        self.editor.execute("ROLLBACK TO s; RELEASE s" if self.nested else "ROLLBACK")
        del self.states[-1]

    def _expect(self, predicted: Callable[[], State], sql: str, params: tuple[object, ...] = ()) -> State | None:
        """Execute it; what is seen then, or None if it is refused, as it must be."""
        try:
            after = predicted()
        except psycopg.Error as refused:
            with pytest.raises(type(refused)):
                self.editor.execute(sql, params or None)
            return None
        self.editor.execute(sql, params or None)
        return after


def _after(step: Step, state: State) -> State:
    edited = step.edit(state)
    return edited.publish() if edited.immediate else edited


def _document(row: Row) -> tuple[int, str]:
    return row.version, row.document


@pytest.mark.timeout(600)  # A failure is made as small as it gets, for which Hypothesis takes up to five minutes.
def test_random_transactions(connect: Connect) -> None:
    """Documents, versions, tokens, history, refusals and a client's snapshot are as the model says."""
    Edits.editor, Edits.observer = connect(), connect()
    Edits.editor.execute(watching.TEMPLATES)
    watching.watch(Edits.editor, columns=["id", "text"])
    run_state_machine_as_test(
        Edits,
        settings=settings(
            max_examples=40,
            stateful_step_count=20,
            deadline=None,
            derandomize=False,  # where CI is set too: every run tries others
            print_blob=True,
            report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
        ),
    )
