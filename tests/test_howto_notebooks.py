"""What docs/howto/notebooks.md says, in a kernel of Jupyter's, with the page's Python blocks as cells."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pages
import psycopg
import pytest
from conftest import Psql
from editing import Editor, eventually
from jupyter_client.asynchronous.client import AsyncKernelClient
from jupyter_client.manager import AsyncKernelManager
from jupyter_core.utils import run_sync
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from psycopg.sql import SQL, Identifier, Literal
from servers import Server
from traitlets.config import Config

PAGE = Path(__file__).parent.parent / "docs/howto/notebooks.md"

pytestmark = pytest.mark.timeout(240)


class Notebook:
    """Cells, run one after the other in one kernel."""

    def __init__(self) -> None:
        sockets = Config(KernelManager={"transport": "ipc"})  # ports that are free now may soon be somebody else's
        self._notebook = nbformat.v4.new_notebook()  # type: ignore[no-untyped-call]
        self.client = NotebookClient(self._notebook, kernel_name="python3", timeout=60, config=sockets)

    def run(self, source: str) -> str:
        """The output of a new cell."""
        cell = nbformat.v4.new_code_cell(source)  # type: ignore[no-untyped-call]
        self._notebook.cells.append(cell)
        self.client.execute_cell(cell, len(self._notebook.cells) - 1)
        return "".join(output.get("text") or output["data"]["text/plain"] for output in cell.outputs).strip()

    def restart(self) -> None:
        kernel, channels = self.client.km, self.client.kc
        assert isinstance(kernel, AsyncKernelManager)
        assert isinstance(channels, AsyncKernelClient)
        run_sync(kernel.restart_kernel)()
        run_sync(channels.wait_for_ready)(timeout=60)


@pytest.fixture
def directory(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where the notebook lies and Jupyter has its files; not pytest's, since the path of a socket has a limit."""
    path = Path(tempfile.mkdtemp(prefix="hotconfig-kernel-", dir="/tmp"))
    for variable in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR"):
        monkeypatch.setenv(variable, str(path / variable.lower()))
    monkeypatch.setenv("JUPYTER_PLATFORM_DIRS", "1")
    monkeypatch.chdir(path)
    yield path
    shutil.rmtree(path)


@pytest.fixture
def notebook(database: str, directory: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Notebook]:
    monkeypatch.setenv("HOTCONFIG_DATABASE_URL", database)
    notebook = Notebook()
    with notebook.client.setup_kernel():
        yield notebook


def cell(containing: str) -> str:
    """Of the page, the one cell that contains this."""
    (text,) = [each.text for each in pages.blocks(PAGE) if not each.title and containing in each.text]
    return text


# An edit, in a cell that runs until all who subscribed before have been told of it.
EDIT = """
import os, psycopg, threading
told = threading.Event()
with hotconfig.subscribe(lambda _: told.set()), psycopg.connect(os.environ["HOTCONFIG_DATABASE_URL"]) as connection:
    connection.execute("UPDATE config_ai_infra SET llm_temperature = llm_temperature / 2")
    connection.commit()
    assert told.wait(40)
"""


def test_the_page(notebook: Notebook, psql: Psql, editor: Editor) -> None:
    """An edit in SQL between two cells arrives in the next; all cells may run again on the one connection."""
    said = []
    for block in pages.blocks(PAGE):
        if block.language == "sql":
            psql(block.text)
        elif not block.title:
            said.append(notebook.run(block.text))
    assert said[0].startswith("AIInfra(")
    assert "started already with other arguments: call close() first" in said
    assert "0.7 0.2" in said
    assert [re.findall(r"at ([0-9.]+) on", text) for text in said if "Which product" in text] == [["0.0", "0.5", "1.0"]]
    (session,) = editor.readers()

    for block in pages.blocks(PAGE):
        if block.language == "python" and not block.title and "lakebase" not in block.text:
            notebook.run(block.text)

    assert editor.readers() == [session]
    assert editor.version() == 2  # no override was written


def test_a_subscriber_that_is_defined_again(notebook: Notebook) -> None:
    """It is called once, and prints under the cell that runs; without the page's precaution all of them are called."""
    subscribe = cell("subscription.cancel()")
    notebook.run(cell("hotconfig.start()\n"))
    for _ in range(3):
        notebook.run(subscribe)
    assert notebook.run(EDIT) == "version 2: ai_infra.llm_temperature"

    for _ in range(2):
        notebook.run(re.sub(r"(?m)^if .*\n    .*\n", "", subscribe))
    assert notebook.run(EDIT).splitlines() == ["version 3: ai_infra.llm_temperature"] * 3


def test_changing_over(notebook: Notebook, editor: Editor) -> None:
    """close() above start() lets a cell run again with other arguments, or with a function that it defines."""
    notebook.run(cell("hotconfig.start()\n"))
    defines = "import os\ndef where():\n    return os.environ['HOTCONFIG_DATABASE_URL']\nhotconfig.start(where)"
    with pytest.raises(CellExecutionError, match="call close\\(\\) first"):
        notebook.run(defines)
    notebook.run(f"hotconfig.close()\n{defines}")
    with pytest.raises(CellExecutionError, match="call close\\(\\) first"):
        notebook.run(defines)
    assert notebook.run(f"hotconfig.close()\n{defines}\nhotconfig.status().state") == "'live'"
    assert len(editor.readers()) == 1


def test_a_pin_goes_inside_an_override(notebook: Notebook) -> None:
    """Under a pin an override is not seen."""
    notebook.run(cell("hotconfig.start()\n"))
    notebook.run(cell("def answer"))
    now = "hotconfig.current().ai_infra.llm_temperature"
    nested = "with {}, {}:\n    print(" + now + ")"
    change = "override({'ai_infra.llm_temperature': 0.9})"
    assert notebook.run(nested.format(change, "hotconfig.pinned()")) == "0.9"
    assert notebook.run(nested.format("hotconfig.pinned()", change)) == "0.7"


def test_interrupt_restart_leave(notebook: Notebook, editor: Editor) -> None:
    """A cell that is interrupted costs no connection; a kernel that restarts leaves none; nor does close()."""
    start = cell("hotconfig.start()\n")
    notebook.run(start)
    (session,) = editor.readers()
    with pytest.raises(CellExecutionError, match="KeyboardInterrupt"):
        notebook.run(
            "import os, signal, threading, time\n"
            "threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT)).start()\n"
            "time.sleep(60)"
        )
    editor.temperature(0.1)
    assert notebook.run("hotconfig.wait_for(2).ai_infra.llm_temperature") == "0.1"
    assert editor.readers() == [session]

    notebook.restart()
    eventually(lambda: not editor.readers())
    notebook.run(start)
    assert len(set(editor.readers()) - {session}) == 1

    notebook.run("hotconfig.close()")
    eventually(lambda: not editor.readers())
    editor.temperature(0.2)
    assert notebook.run("hotconfig.current().ai_infra.llm_temperature, hotconfig.status().state") == "(0.1, 'closed')"


# Of databricks.sdk what the page uses, in that package's names; the token lies in a file beside it.
SDK = """
from pathlib import Path
from types import SimpleNamespace as S

class WorkspaceClient:
    current_user = S(me=lambda: S(user_name={user!r}))
    postgres = S(
        get_endpoint=lambda name: S(status=S(hosts=S(host="127.0.0.1"))),
        generate_database_credential=lambda endpoint: S(token=Path("token").read_text()),
    )
"""


@pytest.fixture
def lakebase(server: Server, directory: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Editor]:
    """A server as Databricks has it, by name, user and password, but without TLS."""
    user = f"alice.{directory.name}@example.com"
    url = server.create_database("databricks_postgres")
    (directory / "databricks").mkdir()
    (directory / "databricks/__init__.py").touch()  # so that it stands before the real one
    (directory / "databricks/sdk.py").write_text(SDK.format(user=user))
    saved = pages.save(PAGE, "lakebase.py", directory)
    text = saved.read_text()
    assert 'sslmode="require"' in text
    saved.write_text(text.replace('sslmode="require"', 'sslmode="prefer"'))
    monkeypatch.setenv("PGPORT", str(server.port))
    monkeypatch.setenv("DATABRICKS_RUNTIME_VERSION", "17.3")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(SQL("CREATE ROLE {} LOGIN IN ROLE hotconfig_reader").format(Identifier(user)))
        try:
            yield Editor(connection)
        finally:
            connection.execute(SQL("DROP ROLE {}").format(Identifier(user)))
    server.drop_database("databricks_postgres")


def test_lakebase(lakebase: Editor, directory: Path, notebook: Notebook) -> None:
    """The function is asked again at the next connect, when the first password is of no more use."""

    def password(text: str) -> None:
        user = f"alice.{directory.name}@example.com"
        lakebase.run(SQL("ALTER ROLE {} PASSWORD {}").format(Identifier(user), Literal(text)))
        (directory / "token").write_text(text)

    password("first")
    notebook.run(cell("hotconfig.start()\n"))
    notebook.run(cell("DATABRICKS_RUNTIME_VERSION"))
    assert notebook.run("hotconfig.status().state") == "'live'"
    (session,) = lakebase.readers()
    password("second")

    lakebase.terminate()

    lakebase.temperature(0.1)
    assert notebook.run("hotconfig.wait_for(2, timeout=40).ai_infra.llm_temperature") == "0.1"
    assert len(set(lakebase.readers()) - {session}) == 1
