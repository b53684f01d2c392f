"""The SQLAlchemy models: rows that are written through them are published as all others."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

import psycopg
import pytest
from conftest import Connect
from sessions import document, history, version
from sqlalchemy import select
from sqlalchemy.orm import Session
from watching import engine

from hotconfig.models import (
    ConfigAIInfra,
    ConfigGenieSpace,
    ConfigHistory,
    ConfigMLflow,
    ConfigProfile,
    ConfigPrompts,
    config_documents,
    config_sources,
)


@pytest.fixture
def observer(connect: Connect) -> psycopg.Connection:
    return connect()


@pytest.fixture
def session(observer: psycopg.Connection) -> Iterator[Session]:
    with Session(engine(observer)) as session:
        yield session


def complete(name: str) -> ConfigProfile:
    return ConfigProfile(
        name=name,
        ai_infra=ConfigAIInfra(llm_endpoint="endpoint", llm_temperature=Decimal("0.5"), llm_max_tokens=100),
        genie_space=ConfigGenieSpace(space_id="s", space_name="S"),
        mlflow=ConfigMLflow(experiment_name="/x"),
        prompts=ConfigPrompts(system_prompt="p", slide_editing_instructions="e", user_prompt_template="{question}"),
    )


def profile(session: Session, name: str) -> ConfigProfile:
    return session.scalars(select(ConfigProfile).where(ConfigProfile.name == name)).one()


def test_a_profile_is_written_whole(session: Session, observer: psycopg.Connection) -> None:
    """Through its relationships, in one version; defaults are the database's."""
    before = version(observer)
    made = complete("x")
    session.add(made)
    session.commit()

    assert version(observer) == before + 1
    assert document(observer, "profile/x")["ai_infra"] == {
        "llm_endpoint": "endpoint",
        "llm_temperature": 0.5,
        "llm_max_tokens": 100,
    }
    assert (made.is_default, made.description, made.created_by, made.updated_by) == (
        False,
        None,
        "postgres",
        "postgres",
    )
    assert made.created_at == made.updated_at == made.prompts.created_at if made.prompts else False


def test_an_edit(session: Session, observer: psycopg.Connection) -> None:
    """Changes one field of one domain; updated_at comes back from the database."""
    default = profile(session, "default")
    assert default.ai_infra is not None
    assert default.ai_infra.profile is default
    stamp = default.ai_infra.updated_at
    default.ai_infra.llm_temperature = Decimal("0.20")
    session.commit()

    assert default.ai_infra.updated_at > stamp
    assert history(observer, "domain", "changes") == [("ai_infra", {"llm_temperature": {"old": 0.7, "new": 0.2}})]


def test_updated_by_comes_back(session: Session) -> None:
    """What the trigger writes is read after a flush too."""
    default = profile(session, "default")
    session.execute(select(ConfigProfile))
    session.connection().exec_driver_sql("SET LOCAL hotconfig.actor = 'alice'")
    default.description = "d"
    session.flush()

    assert default.updated_by == "alice"


@pytest.mark.parametrize("loaded", [True, False])
def test_a_deleted_profile_takes_its_settings_along(
    session: Session, observer: psycopg.Connection, *, loaded: bool
) -> None:
    """Whether the session has loaded them or not."""
    session.add(complete("x"))
    session.commit()
    session.expunge_all()
    made = profile(session, "x")
    if loaded:
        assert made.ai_infra
        assert made.prompts
    session.delete(made)
    session.commit()

    assert document(observer, "profile/x") is None
    for settings in (ConfigAIInfra, ConfigGenieSpace, ConfigMLflow, ConfigPrompts):
        assert len(session.scalars(select(settings)).all()) == 1


def test_settings_that_are_taken_away(session: Session, observer: psycopg.Connection) -> None:
    """None in a relationship deletes the row."""
    session.add(complete("x"))
    session.commit()
    profile(session, "x").mlflow = None
    session.commit()

    assert "mlflow" not in document(observer, "profile/x")


def test_reading(session: Session) -> None:
    """History, documents and sources come with Python's types."""
    session.add(complete("x"))
    session.commit()

    row = session.scalars(select(ConfigHistory).order_by(ConfigHistory.id.desc())).first()
    assert row is not None
    assert row.document == "profile/x"
    assert row.snapshot["prompts"]["system_prompt"] == "p"
    assert row.timestamp.tzinfo is not None
    newest = session.execute(select(config_documents).where(config_documents.c.name == "profile/x")).one()
    assert (newest.version, newest.document) == (row.version, row.snapshot)
    assert newest.token.version == 4
    assert {source.document for source in session.execute(select(config_sources))} == {"profile/*"}
