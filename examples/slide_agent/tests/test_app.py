"""The agent over HTTP, as far as its page does not show it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from conftest import Calls
from fastapi.testclient import TestClient
from hotconfig.admin import Admin

from slide_agent.app import app


@pytest.fixture
def client(admin: Admin, calls: Calls) -> Iterator[TestClient]:
    with TestClient(app) as client:
        yield client


def opened(client: TestClient) -> str:
    response = client.post("/sessions")
    assert response.status_code == 201
    return f"/sessions/{response.json()['id']}"


def test_a_session_keeps_its_deck(client: TestClient) -> None:
    """For whoever comes back to it."""
    session = opened(client)
    assert client.get(session).json()["made"] is None
    turn = client.post(f"{session}/ask", json={"question": "Why?"}).json()
    assert len(turn["slides"]) == 1
    assert client.get(session).json()["made"] == turn
    assert client.get(opened(client)).json()["made"] is None


def test_there_must_be_such_a_session(client: TestClient) -> None:
    """A server that was started again has none of before."""
    assert client.get("/sessions/1").status_code == 404
    assert client.post("/sessions/1/ask", json={"question": "Why?"}).status_code == 404


def test_slides_of_a_deck_before_cannot_be_edited(client: TestClient) -> None:
    """409, and the reason."""
    response = client.post(f"{opened(client)}/edit", json={"wish": "shorter", "slides": ["1"]})
    assert response.status_code == 409
    assert "select again" in response.json()["detail"]


def test_a_question_is_not_empty(client: TestClient) -> None:
    """Nor does it want no slides."""
    session = opened(client)
    assert client.post(f"{session}/ask", json={"question": ""}).status_code == 422
    assert client.post(f"{session}/ask", json={"question": "Why?", "max_slides": 0}).status_code == 422


def test_a_model_that_does_not_answer_is_named(admin: Admin, calls: Calls, monkeypatch: pytest.MonkeyPatch) -> None:
    """502, and the deck stays."""
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")  # nobody is there
    with TestClient(app) as client:
        session = opened(client)
        response = client.post(f"{session}/ask", json={"question": "Why?"})
        assert response.status_code == 502
        assert "no answer from the model" in response.json()["detail"]
        assert client.get(session).json()["made"] is None


def test_health(client: TestClient) -> None:
    """The link to the database, and the version that is served."""
    health = client.get("/health").json()
    assert health["state"] == "live"
    assert health["version"] >= 1
    assert health["rejected"] is None
    assert health["error"] is None
