"""What 10,000 profiles cost to import and to export, and the memory that it takes.

    python experiments/exchange.py [profiles]

Each verb runs in a process of its own, as it does in CI.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psycopg

from hotconfig import embedded, migrations

PROFILE = {
    "description": "",
    "ai_infra": {"llm_endpoint": "e", "llm_temperature": 0.7, "llm_max_tokens": 1},
    "genie": {"space_id": "s", "space_name": "n", "description": ""},
    "mlflow": {"experiment_name": "/x"},
    "prompts": {
        "system_prompt": "Answer in HTML, calmly.\n" * 120,
        "slide_editing_instructions": "Keep the slides.\n" * 150,
        "user_prompt_template": "{question}",
    },
}
EDIT = "UPDATE config_ai_infra SET llm_max_tokens = llm_max_tokens + 1"


def measure(label: str, *arguments: str) -> None:
    began = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-m", "hotconfig", *arguments], stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, arguments
    print(f"{label}: {time.perf_counter() - began:.1f} s, {used.ru_maxrss // 1024} MB", flush=True)


def main(count: int) -> None:
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o755)
        url = embedded.start(Path(directory) / "data")
        migrations.upgrade(url)
        os.environ["HOTCONFIG_DATABASE_URL"] = url
        given, yaml, as_json = (str(Path(directory) / name) for name in ("given.json", "config.yaml", "config.json"))
        data = {"hotconfig": 1, "default": "p0", "profiles": {f"p{n}": PROFILE for n in range(count)}}
        Path(given).write_text(json.dumps(data), "utf-8")
        measure("import, all are new", "import", given, "--yes")
        with psycopg.connect(url, autocommit=True) as owner:
            for file in (yaml, as_json):
                measure(f"export, {Path(file).suffix}", "export", file)
                print(f"    {Path(file).stat().st_size / 1e6:.0f} MB")
                measure("import, nothing differs", "import", file, "--yes")
                owner.execute(EDIT)
                measure("import, one field of each differs", "import", file, "--yes")
        embedded.leave()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000)
