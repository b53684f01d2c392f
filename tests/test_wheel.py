"""What is shipped: an sdist that is whole, and a wheel that, unpacked elsewhere, migrates a database and serves it."""

from __future__ import annotations

import email
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from servers import Server

ROOT = Path(__file__).parent.parent

PROGRAM = """
import sys
import hotconfig
from hotconfig import migrations
from hotconfig.admin import Admin

assert hotconfig.__file__.startswith(sys.argv[2]), hotconfig.__file__
migrations.upgrade(sys.argv[1])
assert migrations.status(sys.argv[1]).up_to_date
with Admin(sys.argv[1]) as admin:
    admin.init()
    hotconfig.start(sys.argv[1])
    edit = admin.update(None, {"ai_infra.llm_temperature": 0.2})
    print("served", hotconfig.wait_for(edit.version).ai_infra.llm_temperature)
migrations.downgrade(sys.argv[1])
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is in it, unpacked."""
    directory = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", directory, ROOT],
        check=True,
    )
    (file,) = directory.glob("*.whl")
    with zipfile.ZipFile(file) as archive:
        archive.extractall(directory / "unpacked")
    return directory / "unpacked"


def test_it_holds_the_package_and_its_migrations(wheel: Path) -> None:
    """alembic/ and sql/ are inside the package, typing and licence marked; tests are not shipped."""
    assert (wheel / "hotconfig/py.typed").exists()
    assert (wheel / "hotconfig/_alembic/versions/0001_initial.py").exists()
    shipped = {file.name for file in (wheel / "hotconfig/_sql").iterdir()}
    assert shipped == {file.name for file in (ROOT / "sql").iterdir()}
    top = {file.name for file in wheel.iterdir()}
    assert {name.split("-")[0] for name in top} == {"hotconfig"}


def test_what_it_says_of_itself(wheel: Path) -> None:
    """Licence, Python, typing, extras, the command: what an installer and an index show."""
    (info,) = [file for file in wheel.iterdir() if file.name.endswith(".dist-info")]
    said = email.message_from_string((info / "METADATA").read_text("utf-8"))
    assert said["License-Expression"] == "MIT"
    assert (info / "licenses/LICENSE").read_text("utf-8") == (ROOT / "LICENSE").read_text("utf-8")
    assert said["Requires-Python"] == ">=3.11"
    assert "Typing :: Typed" in said.get_all("Classifier", [])
    assert {"embedded", "nats"} <= set(said.get_all("Provides-Extra", []))
    assert "hotconfig = hotconfig.__main__:main" in (info / "entry_points.txt").read_text("utf-8")


def test_the_sdist_is_whole(tmp_path: Path) -> None:
    """It has what is in the repository, less what only serves its continuous integration."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a checkout")
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", tmp_path], cwd=ROOT, check=True)
    (file,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(file) as archive:
        shipped = {name.partition("/")[2] for name in archive.getnames()} - {"PKG-INFO"}
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    assert set(listed.stdout.splitlines()) - shipped == {".ci/run"}
    assert not [name for name in shipped if name.startswith((".venv", "dist/", "build/"))]


def test_it_migrates_and_serves(wheel: Path, server: Server, tmp_path: Path) -> None:
    """Outside the checkout, the wheel's own copy of the migrations is the one that runs."""
    url = server.create_database("from_wheel", "template0")
    try:
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, url, str(wheel)],
            check=False,
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env={"PYTHONPATH": str(wheel)},
        )
    finally:
        server.drop_database("from_wheel")
    assert (done.returncode, done.stdout) == (0, "served 0.2\n"), done.stderr
