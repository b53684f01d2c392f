"""What the application begins with; and that beginning again harms nothing."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.orm import Session

from optiinfra import seeds
from optiinfra.enums import AgentType, CustomerPlan
from optiinfra.models import Agent, Base, Customer, Event


def everything(session: Session) -> dict[str, list[tuple[object, ...]]]:
    """All rows of the six tables."""
    return {
        name: [tuple(row) for row in session.execute(sa.select(table).order_by("id"))]
        for name, table in Base.metadata.tables.items()
    }


def version(session: Session) -> int:
    return int(session.scalars(sa.text("SELECT version FROM config_state")).one())


def test_what_there_is(session: Session) -> None:
    """A customer of each plan, an agent of each type, three events and three recommendations; no key comes twice."""
    assert {name: len(rows) for name, rows in everything(session).items()} == {
        "customers": 3,
        "agents": 5,
        "events": 3,
        "recommendations": 3,
        "approvals": 0,
        "optimizations": 0,
    }
    assert {*session.scalars(sa.select(Customer.plan))} == {*CustomerPlan}
    assert {*session.scalars(sa.select(Agent.type))} == {*AgentType}
    assert {len(key) for key in session.scalars(sa.select(Customer.api_key))} == {64}


def test_seeding_twice_changes_nothing(session: Session) -> None:
    """Neither a row nor what is published, nor what somebody edited since."""
    session.execute(sa.update(Agent).values(status="failed"))
    session.execute(sa.update(Customer).values(name="edited"))
    session.commit()
    before = everything(session), version(session)
    session.commit()
    assert seeds.seed(session.connection()) == 0
    session.commit()
    assert (everything(session), version(session)) == before


def test_seeding_inserts_what_is_missing(session: Session) -> None:
    session.execute(sa.delete(Customer).where(Customer.name == "Acme"))
    session.commit()
    assert seeds.seed(session.connection()) == 3  # the event and the recommendation of Acme, too
    assert len(everything(session)["customers"]) == 3


def test_clearing(session: Session) -> None:
    """Takes back what seeding inserted and what belongs to it, and leaves the others' alone; twice is no error."""
    mine = Customer(name="Dune", email="ops@dune.example", api_key="d" * 64)
    session.add(mine)
    session.flush()
    session.add(Event(customer_id=mine.id, agent_id=seeds.key("cost-1"), event_type="cost.spike"))
    session.flush()
    assert seeds.clear(session.connection()) == 8
    assert {name: len(rows) for name, rows in everything(session).items() if rows} == {"customers": 1, "events": 1}
    assert seeds.clear(session.connection()) == 0
    assert seeds.seed(session.connection()) == 14
