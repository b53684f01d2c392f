"""`python3 examples NAME run`, or `test`: an application in an environment of its own, which the first use makes.

Needs Python 3.11 or newer and pip. Any other verb of the application works too.
"""

import os
import subprocess
import sys
import venv
from pathlib import Path

HERE = Path(__file__).resolve().parent
CHECKOUT = HERE.parent
NAMES = sorted(project.parent.name for project in HERE.glob("*/pyproject.toml"))


def installed(name: str, extra: str) -> str:
    """The Python of its environment, which is made again when what it was made from has changed."""
    environment = CHECKOUT / f".venv-{name.replace('_', '-')}"
    python = str(environment / "bin/python")
    mark = environment / f"installed-{extra or 'run'}"
    projects = [HERE / name / "pyproject.toml", CHECKOUT / "pyproject.toml"]
    if not mark.exists() or mark.stat().st_mtime < max(project.stat().st_mtime for project in projects):
        print(f"installing into {environment.name} ...", flush=True)
        venv.create(environment, with_pip=True)
        install = ["install", "--quiet", "--disable-pip-version-check"]
        example = f"{HERE / name}[{extra}]" if extra else str(HERE / name)
        subprocess.run([python, "-m", "pip", *install, "-e", f"{CHECKOUT}[embedded]", "-e", example], check=True)
        mark.touch()
    return python


def main() -> None:
    match sys.argv[1:]:
        case [name, "test", *arguments] if name in NAMES:
            python = installed(name, "test")
            os.chdir(HERE / name)  # where mypy and pytest find how
            subprocess.run([python, "-m", "mypy"], check=True)
            os.execv(python, [python, "-m", "pytest", *arguments])
        case [name, *arguments] if name in NAMES:
            python = installed(name, "")
            os.execv(python, [python, "-m", name, *arguments])
        case _:
            sys.exit(f"python3 examples NAME run, or test. NAME is one of {', '.join(NAMES)}")


if __name__ == "__main__":
    if sys.version_info < (3, 11):  # noqa: UP036 - who has an older one reads it here
        sys.exit("Python 3.11 or newer is needed")
    try:
        main()
    except subprocess.CalledProcessError as error:
        sys.exit(error.returncode)  # it has said why
