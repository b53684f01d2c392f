"""Each table by way of its model: what it takes, what it refuses, and what goes with what."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal

import pytest
import sqlalchemy as sa
from conftest import Sql
from psycopg import errors
from sqlalchemy.exc import DataError, IntegrityError
from sqlalchemy.orm import Session

from optiinfra import enums
from optiinfra.models import Agent, Approval, Base, Customer, Event, Optimization, Recommendation
from optiinfra.seeds import key


def customer() -> Customer:
    return Customer(name="Dune", email="ops@dune.example", api_key="d" * 64)


def agent() -> Agent:
    return Agent(type=enums.AgentType.COST, name="cost-2", version="1.1.0", endpoint="http://cost-2:8000")


def event() -> Event:
    return Event(customer_id=key("Acme"), agent_id=key("cost-1"), event_type="cost.normal")


def recommendation() -> Recommendation:
    return Recommendation(
        customer_id=key("Acme"),
        agent_id=key("cost-1"),
        type="right_sizing",
        title="Half the size",
        description="No request of the week needed more.",
        confidence_score=0.5,
    )


def approval() -> Approval:
    return Approval(recommendation_id=key("autoscaling"))


def optimization() -> Optimization:
    return Optimization(
        recommendation_id=key("autoscaling"), customer_id=key("Birch"), agent_id=key("resource-1"), progress=100
    )


@pytest.mark.parametrize(
    ("make", "changed"),
    [
        (customer, {"plan": enums.CustomerPlan.ENTERPRISE, "details": {"region": "eu", "tags": [1, None]}}),
        (agent, {"status": enums.AgentStatus.FAILED, "capabilities": ["spot_instances"]}),
        (event, {"severity": enums.EventSeverity.CRITICAL, "agent_id": None, "data": {"per_hour": 1.5}}),
        (
            recommendation,
            {"status": enums.RecommendationStatus.ROLLED_BACK, "estimated_savings": Decimal("12345678.90")},
        ),
        (approval, {"status": enums.ApprovalStatus.APPROVED, "approved_by": "alice", "comment": "at night"}),
        (
            optimization,
            {"status": enums.OptimizationStatus.EXECUTING, "started_at": datetime(2025, 5, 1, 8, tzinfo=UTC)},
        ),
    ],
    ids=lambda given: given.__name__ if callable(given) else "",
)
def test_crud(session: Session, make: Callable[[], Base], changed: dict[str, object]) -> None:
    """A row is inserted, read, changed and deleted; what nobody gives has a default, and times have a zone."""
    row = make()
    session.add(row)
    session.commit()
    model, id_ = type(row), sa.inspect(row).identity
    created = row.created_at  # type: ignore[attr-defined]
    assert created.tzinfo is not None

    for name, value in changed.items():
        assert getattr(row, name) != value
        setattr(row, name, value)
    session.commit()
    session.expunge_all()  # what is read now comes from the database
    read = session.get_one(model, id_)
    assert {name: getattr(read, name) for name in changed} == changed
    if "updated_at" in model.__table__.columns:
        assert read.updated_at > read.created_at == created  # type: ignore[attr-defined]

    session.delete(read)
    session.commit()
    assert session.get(model, id_) is None


def test_enums_are_stored_by_value(sql: Sql) -> None:
    """`rolled_back`, as psql shows and takes it, and not `ROLLED_BACK`."""
    sql.execute("UPDATE recommendations SET status = 'rolled_back'")
    row = sql.execute("SELECT array_agg(DISTINCT status::text) FROM recommendations").fetchone()
    assert row == (["rolled_back"],)
    with pytest.raises(errors.InvalidTextRepresentation):
        sql.execute("UPDATE recommendations SET status = 'ROLLED_BACK'")


@pytest.mark.parametrize(
    ("statement", "constraint"),
    [
        ("UPDATE customers SET email = 'ops@Acme.example' WHERE name = 'Birch'", "customers_email_key"),
        ("UPDATE customers SET api_key = 'same'", "customers_api_key_key"),
        ("UPDATE agents SET name = 'one', type = 'cost'", "agents_type_name_key"),
        ("UPDATE agents SET capabilities = '{}'", "agents_capabilities_check"),
        ("UPDATE agents SET capabilities = '[\"route\", 1]'", "agents_capabilities_check"),
        ("UPDATE recommendations SET confidence_score = 1.0001", "recommendations_confidence_score_check"),
        ("UPDATE recommendations SET confidence_score = -0.0001", "recommendations_confidence_score_check"),
        ("UPDATE recommendations SET confidence_score = 'NaN'", "recommendations_confidence_score_check"),
        ("UPDATE optimizations SET progress = 101", "optimizations_progress_check"),
        ("UPDATE optimizations SET progress = -1", "optimizations_progress_check"),
        ("UPDATE events SET customer_id = gen_random_uuid()", "events_customer_id_fkey"),
    ],
)
def test_refused(session: Session, statement: str, constraint: str) -> None:
    """By PostgreSQL, whoever writes; the constraint's name says which rule it was."""
    session.add(optimization())
    session.flush()
    with pytest.raises(IntegrityError) as refused:
        session.execute(sa.text(statement))
    assert isinstance(refused.value.orig, errors.IntegrityError)
    assert refused.value.orig.diag.constraint_name == constraint


def test_the_bounds_are_allowed(session: Session) -> None:
    """0 and 1, 0 and 100; and an agent of another type may have a name that is taken."""
    session.add(optimization())
    session.flush()
    for bound in (0, 1):
        session.execute(sa.update(Recommendation).values(confidence_score=bound))
        session.execute(sa.update(Optimization).values(progress=100 * bound))
    session.execute(sa.update(Agent).values(name="one"))


@pytest.mark.parametrize(
    ("model", "values"),
    [
        (Customer, {"api_key": "k" * 65}),
        (Event, {"event_type": "e" * 101}),
        (Recommendation, {"estimated_savings": Decimal(100_000_000)}),
        (Optimization, {"actual_improvement": Decimal(100_000_000)}),
    ],
)
def test_too_long(session: Session, model: type[Base], values: dict[str, object]) -> None:
    session.add(optimization())
    session.flush()
    with pytest.raises(DataError):
        session.execute(sa.update(model).values(values))


def counted(session: Session) -> dict[str, int]:
    return {
        model.__tablename__: session.scalars(sa.select(sa.func.count()).select_from(model)).one()
        for model in (Event, Recommendation, Approval, Optimization)
    }


@pytest.fixture
def with_all(session: Session) -> Session:
    """Something in each table: Birch and resource-1 have one of each."""
    session.add_all([approval(), optimization()])
    session.flush()
    assert counted(session) == {"events": 3, "recommendations": 3, "approvals": 1, "optimizations": 1}
    return session


def test_a_customer_takes_all_that_is_theirs_along(with_all: Session) -> None:
    with_all.execute(sa.delete(Customer).where(Customer.id == key("Birch")))
    assert counted(with_all) == {"events": 2, "recommendations": 2, "approvals": 0, "optimizations": 0}


def test_an_agent_leaves_its_events_behind(with_all: Session) -> None:
    """They are of nobody then; what it recommended and did is gone."""
    with_all.execute(sa.delete(Agent).where(Agent.id == key("resource-1")))
    assert counted(with_all) == {"events": 3, "recommendations": 2, "approvals": 0, "optimizations": 0}
    left = with_all.scalars(sa.select(Event).where(Event.agent_id.is_(None))).one()
    assert (left.event_type, left.customer_id) == ("gpu.idle", key("Birch"))


def test_a_recommendation_takes_its_approvals_and_optimizations_along(with_all: Session) -> None:
    with_all.execute(sa.delete(Recommendation).where(Recommendation.type == "autoscaling"))
    assert counted(with_all) == {"events": 3, "recommendations": 2, "approvals": 0, "optimizations": 0}


def test_a_filtered_query(session: Session) -> None:
    """What waits for a decision and is urgent, the most urgent first: enums are ordered as they are declared."""
    urgent = (
        sa.select(Customer.name, Recommendation.title)
        .join(Recommendation, Recommendation.customer_id == Customer.id)
        .where(
            Recommendation.status == enums.RecommendationStatus.PENDING,
            Recommendation.priority >= enums.RecommendationPriority.HIGH,
            Customer.status == enums.CustomerStatus.ACTIVE,
        )
        .order_by(Recommendation.priority.desc())
    )
    assert session.execute(urgent).all() == [
        ("Cedar", "Serve the large model in 8 bits"),
        ("Acme", "Run the batch jobs on spot instances"),
    ]
