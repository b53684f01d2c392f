"""Which agent a request goes to, and that edits reach the router without a query."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from queue import SimpleQueue

import hotconfig
import psycopg
import pytest
from conftest import PATIENCE, Sql

from optiinfra.enums import AgentStatus, AgentType, CustomerPlan
from optiinfra.registry import Agent, Registry
from optiinfra.router import Unrouted, route
from optiinfra.seeds import key

ACME, BIRCH, CEDAR = key("Acme"), key("Birch"), key("Cedar")


def registry_of(cost: AgentStatus, other_cost: AgentStatus, resource: AgentStatus) -> Registry:
    def agent(status: AgentStatus) -> Agent:
        return Agent(endpoint="http://agent", status=status, capabilities=("right_sizing",))

    return Registry(
        agents={
            AgentType.RESOURCE: {"r": agent(resource)},
            AgentType.COST: {"b": agent(other_cost), "a": agent(cost)},
        },
        plans={ACME: CustomerPlan.FREE, BIRCH: CustomerPlan.STARTUP},
    )


H, D, F = AgentStatus.HEALTHY, AgentStatus.DEGRADED, AgentStatus.FAILED
S, P = AgentStatus.STARTING, AgentStatus.STOPPED


@pytest.mark.parametrize(
    ("statuses", "chosen"),
    [
        ((H, H, H), "a"),
        ((D, H, H), "b"),
        ((F, D, H), "r"),
        ((F, D, D), "b"),
        ((D, D, D), "a"),
        ((S, P, D), "r"),
        ((S, P, F), None),
    ],
)
def test_healthy_before_degraded_then_by_type_and_name(
    statuses: tuple[AgentStatus, AgentStatus, AgentStatus], chosen: str | None
) -> None:
    """One that starts, failed or was stopped gets nothing."""
    registry = registry_of(*statuses)
    if chosen is None:
        with pytest.raises(Unrouted, match="no working agent of plan startup can do right_sizing"):
            route(registry, BIRCH, "right_sizing")
    else:
        assert route(registry, BIRCH, "right_sizing").name == chosen


def test_a_plan_has_its_types_of_agents() -> None:
    with pytest.raises(Unrouted, match="plan free"):
        route(registry_of(F, F, H), ACME, "right_sizing")


def test_whoever_is_no_active_customer_gets_nothing() -> None:
    with pytest.raises(Unrouted, match="no such active customer"):
        route(registry_of(H, H, H), CEDAR, "right_sizing")


def test_it_imports_neither_sqlalchemy_nor_the_models() -> None:
    """So it has nothing to ask with."""
    program = "import sys, optiinfra.router; print({'sqlalchemy', 'alembic', 'optiinfra.models'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True, timeout=PATIENCE)
    assert done.stdout == "set()\n"


def test_what_the_seeds_make(registry: hotconfig.Client[Registry]) -> None:
    """An agent of each type, a customer of each plan, each as the tables have them."""
    now = registry.current()
    assert {kind: [*agents] for kind, agents in now.agents.items()} == {kind: [f"{kind}-1"] for kind in AgentType}
    assert now.plans == {ACME: CustomerPlan.FREE, BIRCH: CustomerPlan.STARTUP, CEDAR: CustomerPlan.ENTERPRISE}
    assert route(now, ACME, "spot_instances") == (AgentType.COST, "cost-1", "http://cost-1:8000")


@pytest.fixture
def edit(hotconfig_database: str, sql: Sql) -> Iterator[Callable[[str], object]]:
    """An edit, after which nobody can read either table until the test ends: whoever asks them waits in vain."""
    with psycopg.connect(hotconfig_database) as locked:

        def edit(statement: str) -> None:
            sql.execute(statement)
            locked.execute("LOCK TABLE agents, customers IN ACCESS EXCLUSIVE MODE")

        yield edit


def test_an_agent_that_fails(registry: hotconfig.Client[Registry], edit: Callable[[str], object]) -> None:
    """Its requests go to another one at once, without a query."""
    assert route(registry.current(), BIRCH, "right_sizing").name == "cost-1"
    edit("UPDATE agents SET status = 'failed' WHERE name = 'cost-1'")
    registry.wait_for(until=lambda now: now.agents[AgentType.COST]["cost-1"].status == F, timeout=PATIENCE)
    assert route(registry.current(), BIRCH, "right_sizing").name == "resource-1"
    with pytest.raises(Unrouted, match="plan free"):
        route(registry.current(), ACME, "right_sizing")


def test_a_plan_that_changes(registry: hotconfig.Client[Registry], edit: Callable[[str], object]) -> None:
    """What it pays for works at once, without a query."""
    with pytest.raises(Unrouted, match="plan free"):
        route(registry.current(), ACME, "quantization")
    edit("UPDATE customers SET plan = 'enterprise' WHERE name = 'Acme'")
    registry.wait_for(until=lambda now: now.plans[ACME] == CustomerPlan.ENTERPRISE, timeout=PATIENCE)
    assert route(registry.current(), ACME, "quantization").name == "performance-1"


def test_one_that_registers_and_one_that_leaves(registry: hotconfig.Client[Registry], sql: Sql) -> None:
    """A transaction is one version: the router never has both of them, or neither."""
    seen = SimpleQueue[list[str]]()
    with registry.subscribe(lambda change: seen.put([*change.new.agents[AgentType.COST]])):
        with sql.transaction():
            sql.execute("DELETE FROM agents WHERE name = 'cost-1'")
            sql.execute("""
                INSERT INTO agents (type, name, version, status, endpoint, capabilities)
                VALUES ('cost', 'cost-2', '2.0.0', 'healthy', 'http://cost-2:8000', '["right_sizing"]')
            """)
        assert seen.get(timeout=PATIENCE) == ["cost-2"]
    assert seen.empty()
    assert route(registry.current(), ACME, "right_sizing").endpoint == "http://cost-2:8000"


@pytest.mark.parametrize("status", ["suspended", "churned"])
def test_a_customer_who_is_suspended(registry: hotconfig.Client[Registry], sql: Sql, status: str) -> None:
    """Gets nothing, until they are active again; their plan is kept."""
    sql.execute("UPDATE customers SET status = %s WHERE name = 'Cedar'", [status])
    registry.wait_for(until=lambda now: CEDAR not in now.plans, timeout=PATIENCE)
    with pytest.raises(Unrouted, match="no such active customer"):
        route(registry.current(), CEDAR, "quantization")
    sql.execute("UPDATE customers SET status = 'active' WHERE name = 'Cedar'")
    registry.wait_for(until=lambda now: CEDAR in now.plans, timeout=PATIENCE)
    assert registry.current().plans[CEDAR] == CustomerPlan.ENTERPRISE
