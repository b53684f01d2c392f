"""The table that is edited: what it refuses, what is published of it, and what becomes of what is wrong."""

from __future__ import annotations

from collections.abc import Callable

import psycopg
import pytest
from conftest import opened, types
from fastapi.testclient import TestClient

from listing_genie import image_settings
from listing_genie.settings import ImageType, Settings

WaitFor = Callable[[Callable[[Settings], bool]], Settings]
Sql = Callable[[str], object]


def test_the_seeds(client: TestClient, wait_for: WaitFor) -> None:
    """All five types, enabled, each with a prompt and two retries."""
    settings = wait_for(lambda _: True)
    assert settings.enabled == tuple(sorted(ImageType))
    assert {each: image.prompt for each, image in settings.images.items()} == image_settings.SEEDS
    assert {image.max_retries for image in settings.images.values()} == {2}


def test_seeding_again_changes_nothing(hotconfig_database: str) -> None:
    """What was edited stays, and what was deleted stays away."""
    with psycopg.connect(hotconfig_database, autocommit=True) as connection:
        connection.execute("DELETE FROM image_settings WHERE image_type = 'comparison'")
        connection.execute("UPDATE image_settings SET prompt = 'another' WHERE image_type = 'main'")
        rows = connection.execute("TABLE image_settings").fetchall()
        image_settings.migrate(hotconfig_database)
        assert connection.execute("TABLE image_settings").fetchall() == rows


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO image_settings VALUES ('poster', true, 'x', 1)",
        "INSERT INTO image_settings VALUES ('main', true, 'x', 1)",
        "UPDATE image_settings SET max_retries = -1",
        "UPDATE image_settings SET max_retries = 11",
        "UPDATE image_settings SET prompt = ''",
        "UPDATE image_settings SET prompt = '{product_titel} on a table'",
        "UPDATE image_settings SET prompt = 'a { brace'",
        "UPDATE image_settings SET prompt = NULL",
        "UPDATE image_settings SET enabled = NULL",
    ],
)
def test_what_is_wrong_is_refused_where_it_is_typed(sql: Sql, statement: str) -> None:
    """By a constraint of the table."""
    with pytest.raises(psycopg.errors.IntegrityError):
        sql(statement)


@pytest.mark.parametrize("prompt", ["a\nb", "{features}{keywords}", "100 % “steel”"])
def test_a_prompt_that_the_table_takes_is_served(client: TestClient, sql: Sql, wait_for: WaitFor, prompt: str) -> None:
    """The pattern means the same to PostgreSQL and to Pydantic."""
    sql(f"UPDATE image_settings SET prompt = '{prompt}' WHERE image_type = 'main'")
    wait_for(lambda settings: settings.images[ImageType.MAIN].prompt == prompt)


def test_what_gets_through_is_kept_out(client: TestClient, sql: Sql, wait_for: WaitFor) -> None:
    """The last good settings serve on, /health says which version is refused, and a correction is served at once."""
    good = wait_for(lambda _: True)
    sql("ALTER TABLE image_settings DROP CONSTRAINT image_settings_prompt_check")
    sql("UPDATE image_settings SET enabled = false, prompt = '{colour}' WHERE image_type = 'main'")
    while (health := client.get("/health").json())["hotconfig"]["rejected"] is None:
        pass
    assert health["status"] == "degraded"
    assert health["hotconfig"]["version"] == good.version
    assert health["hotconfig"]["state"] == "live"
    assert health["hotconfig"]["rejected"] == good.version + 1
    assert "main" in types(opened(client))
    sql("UPDATE image_settings SET prompt = 'right' WHERE image_type = 'main'")
    wait_for(lambda settings: ImageType.MAIN not in settings.enabled)
    assert client.get("/health").json()["status"] == "ok"
