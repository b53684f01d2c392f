"""Comes with hotconfig: pytest finds it without any configuration."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from hotconfig.testing import override

__all__ = ["hotconfig_override"]


@pytest.fixture
def hotconfig_override() -> Iterator[Callable[..., Any]]:
    """`hotconfig.testing.override` until the test ends: `hotconfig_override({"ai_infra.llm_temperature": 0.1})`.

    It may be called several times, takes the same arguments, and returns the configuration.
    """
    with ExitStack() as stack:

        def until_the_end(*args: Any, **kwargs: Any) -> Any:
            return stack.enter_context(override(*args, **kwargs))

        yield until_the_end
