"""The command line: `slide-agent run`, `slide-agent ask`."""

from __future__ import annotations

import asyncio
from typing import Annotated

import hotconfig
import openai
import typer

from slide_agent.agent import Agent
from slide_agent.llm import Unanswered

cli = typer.Typer(help=__doc__, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)

Database = Annotated[
    str, typer.Option(envvar="HOTCONFIG_DATABASE_URL", metavar="URL", help="Where the configuration is.")
]


@cli.command()
def run(
    *,
    database: Database = "embedded:",
    port: Annotated[int, typer.Option(help="On loopback; 0: any that is free.")] = 8000,
) -> None:
    """Serve the page until Ctrl-C; what is missing for it is started: a PostgreSQL, a stand-in for the model."""
    from slide_agent.run import serve

    serve(database, port)


@cli.command()
def ask(
    question: str,
    *,
    max_slides: Annotated[int, typer.Option(min=1, max=50)] = 10,
    database: Database = "embedded:",
) -> None:
    """Print the slides that answer a question, as HTML."""
    from slide_agent.run import environment

    async def turn() -> None:
        async with Agent.running() as agent:
            made = await agent.ask(agent.open(), question, max_slides=max_slides)
        print(f'<!-- profile "{made.profile}", version {made.version} -->')
        print(f"<style>\n{made.slides[0].style}\n</style>")
        for slide in made.slides:
            print(slide.html)

    with environment(database):
        asyncio.run(turn())


def main() -> None:
    """Say what is wrong in one line."""
    try:
        cli()
    except (hotconfig.HotConfigError, openai.OpenAIError, Unanswered, OSError) as error:
        raise SystemExit(f"error: {error}") from None


if __name__ == "__main__":
    main()
