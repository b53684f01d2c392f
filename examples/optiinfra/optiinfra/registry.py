"""What is hot: the agents and the customers' plans, as one document. Whoever only reads needs none of the tables."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

import hotconfig
from hotconfig.conninfo import Conninfo

from optiinfra.enums import AgentStatus, AgentType, CustomerPlan

DOCUMENT = "optiinfra"


class Agent(hotconfig.Section):
    """An agent that is registered.

    Attributes:
        endpoint: where it is reached.
        status: as it was last marked.
        capabilities: what it can be asked for.
    """

    endpoint: str
    status: AgentStatus
    capabilities: tuple[str, ...]


class Registry(hotconfig.Snapshot):
    """One version of it.

    Attributes:
        agents: by type and name.
        plans: of the active customers, by id.
    """

    agents: Mapping[AgentType, Mapping[str, Agent]]
    plans: Mapping[UUID, CustomerPlan]


def client(conninfo: Conninfo | None = None) -> hotconfig.Client[Registry]:
    """Follows it."""
    return hotconfig.Client(conninfo, model=Registry, document=DOCUMENT)
