"""Break the code on purpose, one place at a time, and see which test notices.

python tests/mutations.py [part of a name ...]

Each mutation is made in a copy of the tree; the tests named beside it run there. The exit code is 1
if one went unnoticed.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "support"))

import mutations_of_factorials  # noqa: E402
import mutations_of_ladders  # noqa: E402
import mutations_of_runs  # noqa: E402
import mutations_of_studies  # noqa: E402
from mutation import Mutation  # noqa: E402

MUTATIONS = [
    *mutations_of_runs.MUTATIONS,
    *mutations_of_studies.MUTATIONS,
    *mutations_of_factorials.MUTATIONS,
    *mutations_of_ladders.MUTATIONS,
]


def unnoticed(mutation: Mutation, copy: Path) -> bool:
    """Try one mutation; print the tests that saw it."""
    path = copy / "src" / "lmlab" / mutation.file
    text = path.read_text("utf-8")
    assert text.count(mutation.old) == 1, f"{mutation.name}: {text.count(mutation.old)} places"
    path.write_text(text.replace(mutation.old, mutation.new), "utf-8")
    environment = os.environ | {"PYTHONPATH": str(copy / "src"), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider",
               *mutation.tests.split()]  # fmt: skip
    done = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True)
    path.write_text(text, "utf-8")
    seen = re.findall(r"^(?:FAILED|ERROR) (\S+)", done.stdout, flags=re.M)
    if done.returncode < 0:
        seen = [f"signal {-done.returncode} ended the tests"]
    print(f"{mutation.name:<30} {seen[0] if seen else 'NOT NOTICED'}", flush=True)
    return not seen


def main(words: list[str]) -> int:
    """Run the mutations whose name holds one of ``words``, or all."""
    chosen = [m for m in MUTATIONS if not words or any(word in m.name for word in words)]
    with tempfile.TemporaryDirectory() as name:
        copy = Path(name) / "lmlab"
        ignored = shutil.ignore_patterns(".venv", ".git", "__pycache__", ".*_cache")
        shutil.copytree(
            ROOT, copy,
            ignore=lambda folder, names: (
                ignored(folder, names) | ({"outputs"} if Path(folder) == ROOT else set())
            ),
        )  # fmt: skip
        missed = sum([unnoticed(mutation, copy) for mutation in chosen])
    print(f"{len(chosen) - missed} of {len(chosen)} were noticed")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
