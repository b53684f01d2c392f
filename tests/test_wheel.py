"""What is shipped: the wheel, unpacked elsewhere, migrates a database and serves it."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from servers import Server

ROOT = Path(__file__).parent.parent

PROGRAM = """
import sys
import hotconfig
from hotconfig import migrations

assert hotconfig.__file__.startswith(sys.argv[2]), hotconfig.__file__
migrations.upgrade(sys.argv[1])
assert migrations.status(sys.argv[1]).up_to_date
try:
    hotconfig.start(sys.argv[1])
except hotconfig.NoDefaultProfile:
    print("served")
migrations.downgrade(sys.argv[1])
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.Path:
    directory = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", directory, ROOT],
        check=True,
    )
    (file,) = directory.glob("*.whl")
    return zipfile.Path(file)


def test_it_holds_the_package_and_its_migrations(wheel: zipfile.Path) -> None:
    """alembic/ and sql/ are inside the package, typing and licence marked; tests are not shipped."""
    assert (wheel / "hotconfig/py.typed").exists()
    assert (wheel / "hotconfig/_alembic/versions/0001_initial.py").exists()
    shipped = {file.name for file in (wheel / "hotconfig/_sql").iterdir()}
    assert shipped == {file.name for file in (ROOT / "sql").iterdir()}
    top = {file.name for file in wheel.iterdir()}
    assert {name.split("-")[0] for name in top} == {"hotconfig"}


def test_it_migrates_and_serves(wheel: zipfile.Path, server: Server, tmp_path: Path) -> None:
    """Outside the checkout, the wheel's own copy of the migrations is the one that runs."""
    wheel.root.extractall(tmp_path)
    url = server.create_database("from_wheel", "template0")
    try:
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, url, str(tmp_path)],
            check=False,
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env={"PYTHONPATH": str(tmp_path)},
        )
    finally:
        server.drop_database("from_wheel")
    assert (done.returncode, done.stdout) == (0, "served\n"), done.stderr
