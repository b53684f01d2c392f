"""Sessions over HTTP, and the settings that they are opened with."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from conftest import PRODUCT, opened, types
from fastapi.testclient import TestClient

from listing_genie.settings import ImageType, Settings

WaitFor = Callable[[Callable[[Settings], bool]], Settings]
Sql = Callable[[str], object]


def test_a_session_comes_back(client: TestClient) -> None:
    """With its keywords and a record of each image, and times with a zone."""
    session = opened(client)
    assert client.get(f"/sessions/{session['id']}").json() == session
    assert session.items() >= PRODUCT.items()
    assert session["status"] == "pending"
    assert types(session) == sorted(ImageType)
    assert {(image["status"], image["retry_count"], image["storage_path"]) for image in session["images"]} == {
        ("pending", 0, None)
    }
    created, expires = (datetime.fromisoformat(session[name]) for name in ("created_at", "expires_at"))
    assert created.utcoffset() == timedelta()
    assert expires - created == timedelta(days=7)


def test_a_session_gets_what_is_enabled(client: TestClient, sql: Sql, wait_for: WaitFor) -> None:
    """When it is opened: an edit with SQL is for the next one, without a restart."""
    before = opened(client)
    sql("UPDATE image_settings SET enabled = image_type IN ('main', 'comparison')")
    wait_for(lambda settings: len(settings.enabled) == 2)
    assert types(opened(client)) == ["comparison", "main"]
    assert types(client.get(f"/sessions/{before['id']}").json()) == sorted(ImageType)


def test_without_an_enabled_type_there_is_no_session(client: TestClient, sql: Sql, wait_for: WaitFor) -> None:
    """409, and what to do."""
    sql("UPDATE image_settings SET enabled = false")
    wait_for(lambda settings: not settings.enabled)
    response = client.post("/sessions", json=PRODUCT)
    assert response.status_code == 409
    assert "no image type is enabled" in response.json()["detail"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"product_title": "x" * 201},
        {"feature_3": "x" * 101},
        {"target_audience": "x" * 151},
        {"upload_path": ""},
        {"keywords": [{"keyword": "x" * 101}]},
        {"keywords": [{"keyword": "bottle"}, {"keyword": "bottle"}]},
        {"keywords": [{"keyword": "bottle", "intent_types": ["speed"]}]},
    ],
)
def test_what_does_not_fit_is_refused(client: TestClient, wrong: dict[str, object]) -> None:
    """422, before it gets to SQLite."""
    assert client.post("/sessions", json=PRODUCT | wrong).status_code == 422


def test_there_must_be_such_a_session(client: TestClient) -> None:
    """404, whatever is wanted of it."""
    assert client.get("/sessions/1").status_code == 404
    assert client.post("/sessions/1/images").status_code == 404
    assert client.delete("/sessions/1").status_code == 404


def test_a_session_is_deleted(client: TestClient) -> None:
    """With what it has."""
    session = opened(client)
    assert client.delete(f"/sessions/{session['id']}").status_code == 204
    assert client.get(f"/sessions/{session['id']}").status_code == 404


def test_sessions_outlive_the_process(client: TestClient) -> None:
    """They are in a file; the tables are made at start-up, if they are missing."""
    session = opened(client)
    with TestClient(client.app) as again:
        assert again.get(f"/sessions/{session['id']}").json() == session
