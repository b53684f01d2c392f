"""docs/howto/fan-out.md: its permissions are enough, and its program lists the fleet."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import nats
import nats_servers
import pages
from editing import FOREVER, Editor, eventually
from relays import Running

from hotconfig import Client

PAGE = Path(__file__).parent.parent / "docs/howto/fan-out.md"


def test_the_users_may_do_what_they_need(database: str, editor: Editor, tmp_path: Path, monkeypatch: Any) -> None:
    """A relay makes and fills the bucket; a process follows, answers for itself, and may not write; none is refused."""
    users = pages.save(PAGE, "users.conf", tmp_path).read_text().partition("{")[2].rpartition("}")[0]
    more = users.replace("users: [", "users: [ { user: test, password: secret },")
    with nats_servers.stopped(authorization=f"{{ {more} }}") as server:
        server.login = {"user": "test", "password": "secret"}
        server.start()
        address = server.url.removeprefix("nats://")
        relay = Running(database, f"nats://relay:secret@{address}/slides", 1.0)
        try:
            eventually(lambda: relay.relay.relayed == editor.version())
            example = "nats://nats1:4222,nats2:4222,nats3:4222/slides"
            for title in ("relay", "client.py"):
                assert example in pages.save(PAGE, title, tmp_path).read_text()
            monkeypatch.setenv("HOTCONFIG_INSTANCE", "web.1")
            with Client(f"nats://edge:secret@{address}/slides", heartbeat=FOREVER) as client:
                assert client.wait_for(editor.temperature(0.2), timeout=20).ai_infra.llm_temperature == 0.2
                names: dict[str, Any] = {}
                exec(pages.save(PAGE, "fleet.py", tmp_path).read_text(), names)
                entries = asyncio.run(names["fleet"](f"nats://test:secret@{address}", "slides"))
                assert entries == [f"hotconfig:{editor.version()}:web.1:active"]
                assert "Violation" not in (server.root / "0.log").read_text()
                refused = asyncio.run(put(f"nats://edge:secret@{address}"))
                assert "permissions violation for publish" in str(refused).lower()
        finally:
            relay.stop()


async def put(url: str) -> Exception:
    """What the server says to it."""
    refused: asyncio.Future[Exception] = asyncio.get_running_loop().create_future()

    async def failed(error: Exception) -> None:
        if not refused.done():
            refused.set_result(error)

    connection = await nats.connect(url, error_cb=failed)
    await connection.publish("$KV.slides.state", b"{}")
    try:
        return await asyncio.wait_for(refused, 20)
    finally:
        await connection.close()
