"""What there is to look at: a customer of each plan, an agent of each type, and what they had to do with each other."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from optiinfra.enums import (
    AgentStatus,
    AgentType,
    CustomerPlan,
    EventSeverity,
    RecommendationPriority,
    RecommendationStatus,
)
from optiinfra.models import Agent, Base, Customer, Event, Recommendation


def key(name: str) -> UUID:
    """The id of a row here: always the same, so that seeding again finds it."""
    return uuid5(NAMESPACE_URL, f"optiinfra:{name}")


CUSTOMERS = {"Acme": CustomerPlan.FREE, "Birch": CustomerPlan.STARTUP, "Cedar": CustomerPlan.ENTERPRISE}
CAPABILITIES = {
    AgentType.ORCHESTRATOR: ["route"],
    AgentType.COST: ["right_sizing", "spot_instances"],
    AgentType.PERFORMANCE: ["batching", "quantization"],
    AgentType.RESOURCE: ["autoscaling", "right_sizing"],
    AgentType.APPLICATION: ["quality_check"],
}
ACME_COST = {"customer_id": key("Acme"), "agent_id": key("cost-1")}
BIRCH_RESOURCE = {"customer_id": key("Birch"), "agent_id": key("resource-1")}
CEDAR_PERFORMANCE = {"customer_id": key("Cedar"), "agent_id": key("performance-1")}

EVENTS: list[dict[str, Any]] = [
    {
        **ACME_COST,
        "event_type": "cost.spike",
        "severity": EventSeverity.WARNING,
        "data": {"per_hour": 41.5, "usual": 18.0},
    },
    {
        **BIRCH_RESOURCE,
        "event_type": "gpu.idle",
        "severity": EventSeverity.INFO,
        "data": {"gpus": 3, "minutes": 95},
    },
    {
        **CEDAR_PERFORMANCE,
        "event_type": "latency.high",
        "severity": EventSeverity.ERROR,
        "data": {"p99_ms": 2300, "limit_ms": 800},
    },
]
RECOMMENDATIONS: list[dict[str, Any]] = [
    {
        **ACME_COST,
        "type": "spot_instances",
        "title": "Run the batch jobs on spot instances",
        "description": "They may be interrupted, and run at night.",
        "estimated_savings": 640,
        "estimated_improvement": None,
        "confidence_score": 0.92,
        "priority": RecommendationPriority.HIGH,
        "status": RecommendationStatus.PENDING,
    },
    {
        **BIRCH_RESOURCE,
        "type": "autoscaling",
        "title": "Let idle GPUs go",
        "description": "Three of them wait for an hour and a half each day.",
        "estimated_savings": 1250,
        "estimated_improvement": None,
        "confidence_score": 0.85,
        "priority": RecommendationPriority.MEDIUM,
        "status": RecommendationStatus.APPROVED,
    },
    {
        **CEDAR_PERFORMANCE,
        "type": "quantization",
        "title": "Serve the large model in 8 bits",
        "description": "Its answers come in two thirds of the time, and score the same.",
        "estimated_savings": None,
        "estimated_improvement": 38,
        "confidence_score": 0.71,
        "priority": RecommendationPriority.CRITICAL,
        "status": RecommendationStatus.PENDING,
    },
]


def _rows() -> Iterator[tuple[type[Base], list[dict[str, Any]]]]:
    """By table, in an order in which each row finds those that it refers to."""
    yield (
        Customer,
        [
            # A secret of its own wherever it is made, since what stands in a program is known to everybody.
            {
                "id": key(name),
                "name": name,
                "email": f"ops@{name}.example",
                "api_key": secrets.token_hex(),
                "plan": plan,
            }
            for name, plan in CUSTOMERS.items()
        ],
    )
    yield (
        Agent,
        [
            {
                "id": key(f"{kind}-1"),
                "type": kind,
                "name": f"{kind}-1",
                "version": "1.0.0",
                "status": AgentStatus.HEALTHY,
                "endpoint": f"http://{kind}-1:8000",
                "capabilities": capabilities,
            }
            for kind, capabilities in CAPABILITIES.items()
        ],
    )
    yield Event, [{"id": key(event["event_type"]), **event} for event in EVENTS]
    yield Recommendation, [{"id": key(each["type"]), **each} for each in RECOMMENDATIONS]


def seed(connection: sa.Connection) -> int:
    """Insert what is missing, and change nothing that is there. Returns how many rows."""
    # SQLAlchemy counts the rows of an INSERT only if it is asked to.
    counted = connection.execution_options(preserve_rowcount=True)
    return sum(counted.execute(insert(table).values(rows).on_conflict_do_nothing()).rowcount for table, rows in _rows())


def clear(connection: sa.Connection) -> int:
    """Delete the customers and agents of `seed`, and with them what cascades. Returns how many of these."""
    return sum(
        connection.execute(sa.delete(table).where(table.id.in_([key(name) for name in names]))).rowcount
        for table, names in ((Customer, CUSTOMERS), (Agent, [f"{kind}-1" for kind in CAPABILITIES]))
    )
