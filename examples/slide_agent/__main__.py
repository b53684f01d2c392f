"""`python3 examples/slide_agent run`, or `test`: in an environment of its own, which the first one makes.

Needs Python 3.11 or newer and pip. Any other verb of `slide-agent` works too.
"""

import os
import subprocess
import sys
import venv
from pathlib import Path

HERE = Path(__file__).resolve().parent
CHECKOUT = HERE.parent.parent
ENVIRONMENT = CHECKOUT / ".venv-slide-agent"
PYTHON = str(ENVIRONMENT / "bin/python")
PROJECTS = [HERE / "pyproject.toml", CHECKOUT / "pyproject.toml"]


def installed(extra: str) -> None:
    """Make the environment, and again when what it was made from has changed."""
    mark = ENVIRONMENT / f"installed-{extra or 'run'}"
    if mark.exists() and mark.stat().st_mtime > max(project.stat().st_mtime for project in PROJECTS):
        return
    print(f"installing into {ENVIRONMENT.name} ...", flush=True)
    venv.create(ENVIRONMENT, with_pip=True)
    install = ["install", "--quiet", "--disable-pip-version-check"]
    example = f"{HERE}[{extra}]" if extra else str(HERE)
    subprocess.run([PYTHON, "-m", "pip", *install, "-e", f"{CHECKOUT}[embedded]", "-e", example], check=True)
    mark.touch()


def main() -> None:
    match sys.argv[1:]:
        case ["test", *arguments]:
            installed("test")
            os.chdir(HERE)  # where mypy and pytest find how
            subprocess.run([PYTHON, "-m", "mypy"], check=True)
            os.execv(PYTHON, [PYTHON, "-m", "pytest", *arguments])
        case arguments:
            installed("")
            os.execv(PYTHON, [PYTHON, "-m", "slide_agent", *arguments])


if __name__ == "__main__":
    if sys.version_info < (3, 11):  # noqa: UP036 - who has an older one reads it here
        sys.exit("Python 3.11 or newer is needed")
    try:
        main()
    except subprocess.CalledProcessError as error:
        sys.exit(error.returncode)  # it has said why
