"""The client of the model: what is built from a profile's `ai_infra`, and built anew when that changes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import hotconfig
from openai import AsyncOpenAI
from openai.types.chat import ChatCompletionMessage, ChatCompletionMessageParam, ChatCompletionToolUnionParam

# A slow model's tokens a second, and the seconds that it thinks before the first one.
_PACE = 20
_THINKING = 60


class Unanswered(Exception):
    """The model gave no answer that can be used; the message says what to change."""


@dataclass(frozen=True)
class LLM:
    """A model, with the settings that it is called with.

    Attributes:
        ai: the settings.
        client: waits as long as an answer of `llm_max_tokens` may take.
    """

    ai: hotconfig.AIInfra
    client: AsyncOpenAI

    @classmethod
    def build(cls, ai: hotconfig.AIInfra, openai: AsyncOpenAI) -> Self:
        """`openai` has the address, the key and the connections, which are the process's and outlive every setting."""
        return cls(ai, openai.with_options(timeout=_THINKING + ai.llm_max_tokens / _PACE))

    async def answer(
        self, messages: list[ChatCompletionMessageParam], tools: list[ChatCompletionToolUnionParam]
    ) -> ChatCompletionMessage:
        """What the model says next: slides, or which tools it wants called.

        Raises:
            Unanswered: it is longer than `llm_max_tokens`, so part of it is missing.
            openai.OpenAIError: the endpoint does not answer, or refuses.
        """
        completion = await self.client.chat.completions.create(
            model=self.ai.llm_endpoint,
            temperature=self.ai.llm_temperature,
            max_tokens=self.ai.llm_max_tokens,
            messages=messages,
            tools=tools,
        )
        (choice,) = completion.choices
        if choice.finish_reason == "length":
            raise Unanswered(f"the answer has more than {self.ai.llm_max_tokens} tokens: raise ai_infra.llm_max_tokens")
        return choice.message
