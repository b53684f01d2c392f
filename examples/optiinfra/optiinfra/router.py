"""The orchestrator's router: which agent a customer's request goes to. It reads a snapshot, and asks no database."""

from __future__ import annotations

from typing import NamedTuple
from uuid import UUID

from optiinfra.enums import AgentStatus, AgentType, CustomerPlan
from optiinfra.registry import Registry

# The types of agents that work for a plan, whose turn is in this order.
TYPES = {
    CustomerPlan.FREE: (AgentType.COST,),
    CustomerPlan.STARTUP: (AgentType.COST, AgentType.RESOURCE),
    CustomerPlan.ENTERPRISE: (AgentType.COST, AgentType.PERFORMANCE, AgentType.RESOURCE, AgentType.APPLICATION),
}
# One that is degraded works only if no other does; the rest do not at all.
WORKING = (AgentStatus.HEALTHY, AgentStatus.DEGRADED)


class Unrouted(Exception):
    """No agent takes the request; the message says why."""


class Route(NamedTuple):
    """The agent that takes a request: its type, name and endpoint."""

    type: AgentType
    name: str
    endpoint: str


def route(registry: Registry, customer: UUID, capability: str) -> Route:
    """The agent for a customer's request: healthy before degraded, then in the order of `TYPES`, then of the names.

    Raises:
        Unrouted: no such active customer, or the plan has no working agent with this capability.
    """
    if customer not in registry.plans:
        raise Unrouted("no such active customer")
    plan = registry.plans[customer]
    for status in WORKING:
        for kind in TYPES[plan]:
            for name, agent in sorted(registry.agents.get(kind, {}).items()):
                if agent.status == status and capability in agent.capabilities:
                    return Route(kind, name, agent.endpoint)
    raise Unrouted(f"no working agent of plan {plan} can do {capability}")
