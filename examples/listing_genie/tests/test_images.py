"""How images come about: each attempt with the settings as they are then."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import PATIENCE, opened
from fastapi.testclient import TestClient

from listing_genie import app, stand_in
from listing_genie.images import Failed, Order
from listing_genie.settings import ImageType, Settings

WaitFor = Callable[[Callable[[Settings], bool]], Settings]
Sql = Callable[[str], object]


def made(client: TestClient, session: dict[str, Any]) -> dict[str, Any]:
    response = client.post(f"/sessions/{session['id']}/images")
    assert response.status_code == 200, response.text
    return dict(response.json())


def image(session: dict[str, Any], image_type: str) -> dict[str, Any]:
    (found,) = (each for each in session["images"] if each["image_type"] == image_type)
    return dict(found)


def draw_with(client: TestClient, draw: Callable[[Order], bytes]) -> None:
    """Around the stand-in, or in its place."""
    client.app.dependency_overrides[app._draw] = lambda: draw  # type: ignore[attr-defined]


def set_(sql: Sql, wait_for: WaitFor, image_type: str, *, prompt: str, max_retries: int = 2) -> None:
    sql(f"UPDATE image_settings SET prompt = '{prompt}', max_retries = {max_retries} WHERE image_type = '{image_type}'")
    wait_for(lambda settings: settings.images[ImageType(image_type)].prompt == prompt)


def test_images_are_made(client: TestClient, sql: Sql, wait_for: WaitFor) -> None:
    """Files that say they come from a stand-in, with the prompt, filled, and the settings."""
    prompt = "{product_title} for {target_audience}: {features}; {keywords}"
    set_(sql, wait_for, "main", prompt=prompt, max_retries=4)
    version = wait_for(lambda _: True).version
    session = made(client, opened(client, product_title="Bottle <b>"))
    assert session["status"] == "complete"
    assert session["completed_at"] is not None
    assert {each["status"] for each in session["images"]} == {"complete"}
    assert made(client, session) == session
    text = Path(image(session, "main")["storage_path"]).read_text()
    assert stand_in.LABEL in text
    assert "Bottle &lt;b&gt; for hikers: 0.75 l, keeps cold for a day; bottle that does not leak, hiking bottle" in text
    assert f"version {version}" in text
    assert "attempt 1 of 5" in text


def test_retries_follow_the_settings(client: TestClient, sql: Sql, wait_for: WaitFor) -> None:
    """As many as max_retries, then the image has failed, and says why; the session has the others."""
    set_(sql, wait_for, "main", prompt="impossible", max_retries=3)
    set_(sql, wait_for, "lifestyle", prompt="impossible, too", max_retries=0)
    session = made(client, opened(client))
    assert session["status"] == "partial"
    for image_type, retries in {"main": 3, "lifestyle": 0, "comparison": 0}.items():
        assert image(session, image_type)["retry_count"] == retries
    assert image(session, "main")["status"] == "failed"
    assert image(session, "main")["completed_at"] is None
    assert image(session, "main")["storage_path"] is None
    assert "'impossible'" in image(session, "main")["error_message"]


def test_what_failed_is_made_again(client: TestClient, sql: Sql, wait_for: WaitFor) -> None:
    """After the prompt has been corrected; what was complete stays."""
    set_(sql, wait_for, "main", prompt="impossible")
    before = made(client, opened(client))
    set_(sql, wait_for, "main", prompt="possible")
    after = made(client, before)
    assert after["status"] == "complete"
    assert image(after, "main")["retry_count"] == 0
    assert image(after, "main")["error_message"] is None
    assert image(after, "comparison") == image(before, "comparison")


def test_an_edit_counts_at_the_next_attempt(client: TestClient, sql: Sql, wait_for: WaitFor) -> None:
    """A prompt that is corrected while its image is tried again, and more retries for it."""
    orders: list[Order] = []
    sql("UPDATE image_settings SET enabled = image_type = 'main'")
    set_(sql, wait_for, "main", prompt="impossible", max_retries=1)

    def draw(order: Order) -> bytes:
        orders.append(order)
        if len(orders) == 2:  # the last one, if nobody edits
            sql("UPDATE image_settings SET max_retries = 5 WHERE image_type = 'main'")
            wait_for(lambda settings: settings.images[ImageType.MAIN].max_retries == 5)
        if len(orders) == 4:
            set_(sql, wait_for, "main", prompt="possible", max_retries=5)
        return stand_in.draw(order)

    draw_with(client, draw)
    session = made(client, opened(client))
    # The second one began when there were two; what it fails with is judged by what it began with.
    assert [order.attempts for order in orders] == [2, 2]
    assert session["status"] == "failed"

    orders.clear()
    session = made(client, session)
    assert [(order.attempt, order.attempts, order.prompt) for order in orders] == [
        (number, 6, "possible" if number == 5 else "impossible") for number in range(1, 6)
    ]
    assert [order.version for order in orders] == sorted(order.version for order in orders)
    assert (session["status"], image(session, "main")["retry_count"]) == ("complete", 4)


def test_without_any_image_a_session_has_failed(client: TestClient, sql: Sql, wait_for: WaitFor) -> None:
    """Also when somebody has deleted the row of its type, which is no error of the application."""
    sql("UPDATE image_settings SET enabled = image_type = 'main'")
    wait_for(lambda settings: len(settings.enabled) == 1)
    session = opened(client)
    sql("DELETE FROM image_settings")
    wait_for(lambda settings: not settings.images)
    session = made(client, session)
    assert session["status"] == "failed"
    assert "image_settings has no row 'main'" in image(session, "main")["error_message"]


def test_one_makes_them_at_a_time(client: TestClient) -> None:
    """Who else wants to, or to delete the session, is told so; who looks sees how far it is."""
    session = opened(client)
    began, go_on = threading.Event(), threading.Event()

    def draw(order: Order) -> bytes:
        began.set()
        assert go_on.wait(PATIENCE)
        return stand_in.draw(order)

    draw_with(client, draw)
    answers: list[dict[str, Any]] = []
    thread = threading.Thread(target=lambda: answers.append(made(client, session)))
    thread.start()
    try:
        assert began.wait(PATIENCE)
        assert client.post(f"/sessions/{session['id']}/images").status_code == 409
        assert client.delete(f"/sessions/{session['id']}").status_code == 409
        now = client.get(f"/sessions/{session['id']}").json()
        assert now["status"] == "processing"
        assert [each["status"] for each in now["images"]] == ["processing", *["pending"] * 4]
    finally:
        go_on.set()
        thread.join()
    assert answers[0]["status"] == "complete"


def test_a_disk_that_refuses_is_tried_again(client: TestClient, tmp_path: Path) -> None:
    """As a model that fails is."""
    (tmp_path / "images").write_text("no directory")
    session = made(client, opened(client))
    assert session["status"] == "failed"
    assert {each["retry_count"] for each in session["images"]} == {2}


def test_a_model_that_breaks_leaves_the_session_free(client: TestClient) -> None:
    """What was not expected is an error of the server's, and may be tried again."""

    def draw(order: Order) -> bytes:
        raise RuntimeError("broken")

    draw_with(client, draw)
    session = opened(client)
    with pytest.raises(RuntimeError, match="broken"):
        client.post(f"/sessions/{session['id']}/images")
    assert client.get(f"/sessions/{session['id']}").json()["status"] == "failed"
    client.app.dependency_overrides.clear()  # type: ignore[attr-defined]
    assert made(client, session)["status"] == "complete"


def test_the_stand_in_says_so() -> None:
    """And refuses what it is told to."""
    order = Order(ImageType.MAIN, "a bottle", 7, 1, 3)
    assert stand_in.draw(order).startswith(b"<svg")
    with pytest.raises(Failed):
        stand_in.draw(Order(ImageType.MAIN, "an impossible bottle", 7, 1, 3))
