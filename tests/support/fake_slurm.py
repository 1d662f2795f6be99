"""Commands of Slurm that answer from files, to test what lmlab asks and how it reads the answers.

``sbatch`` records its arguments and the batch script; ``squeue``, ``scontrol`` and ``sacct`` print
what a test has written. A test of what a cluster really does uses :mod:`cluster`.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

COMMANDS = ("sbatch", "srun", "squeue", "scontrol", "sacct")

PROGRAM = """#!{python}
import json, os, sys
from pathlib import Path

folder, name, arguments = Path({folder!r}), {name!r}, sys.argv[1:]
with open(folder / "calls.jsonl", "a") as calls:
    calls.write(json.dumps([name, *arguments]) + "\\n")
failing = folder / f"{{name}}.fails"
if failing.exists():
    print(failing.read_text(), file=sys.stderr)
    sys.exit(1)
if name == "sbatch":
    limit = folder / "sbatch.limit"
    jobs = [one.partition("=0-")[2].partition("%")[0] for one in arguments if "--array=" in one]
    if "--test-only" in arguments:
        sys.exit(0)
    number = 100 + len(list(folder.glob("script*.sh")))
    if limit.exists():
        left = int(limit.read_text()) - int(jobs[0]) - 1
        if left < 0:
            print("sbatch: error: AssocMaxSubmitJobLimit", file=sys.stderr)
            print("sbatch: error: Batch job submission failed: Job violates accounting/QOS policy "
                  "(job submit limit, user's size and/or time limits)", file=sys.stderr)
            sys.exit(1)
        limit.write_text(str(left))
    (folder / f"script{{number}}.sh").write_text(Path(arguments[-1]).read_text())
    (folder / f"environment{{number}}.json").write_text(json.dumps(dict(os.environ)))
    print(number)
else:
    answer = folder / f"{{name}}.out"
    print(answer.read_text() if answer.exists() else "", end="")
"""


class FakeSlurm:
    """The folder of the commands, and of their answers."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        for name in COMMANDS:
            path = folder / name
            path.write_text(PROGRAM.format(python=sys.executable, folder=str(folder), name=name))
            path.chmod(0o755)

    def answer(self, command: str, text: str) -> None:
        """Set what a command prints."""
        (self.folder / f"{command}.fails").unlink(missing_ok=True)
        (self.folder / f"{command}.out").write_text(text)

    def fail(self, command: str, error: str = "error: Unable to contact slurm controller") -> None:
        """Let a command fail."""
        (self.folder / f"{command}.fails").write_text(error)

    def forget_jobs(self) -> None:
        """Let the controller have forgotten how jobs ended, without accounting."""
        self.fail("scontrol", "slurm_load_jobs error: Invalid job id specified")
        self.fail("sacct", "Slurm accounting storage is disabled")

    def show_jobs(self, *jobs: tuple[str, int, str, str]) -> None:
        """Set the queue: name, index, state and reason of each job."""
        self.answer("squeue", "".join(f"{n}|{i}|{s}|{r}\n" for n, i, s, r in jobs))

    def accept_jobs(self, number: int) -> None:
        """Limit the jobs that the user may submit from now on."""
        (self.folder / "sbatch.limit").write_text(str(number))

    def environment(self, number: int) -> dict[str, str]:
        """Return the environment that sbatch had when it submitted an array."""
        found: dict[str, str] = json.loads((self.folder / f"environment{number}.json").read_text())
        return found

    def calls(self, command: str) -> list[list[str]]:
        """Return the arguments of all calls of a command."""
        path = self.folder / "calls.jsonl"
        lines = path.read_text().splitlines() if path.exists() else []
        found = map(json.loads, lines)
        return [arguments for name, *arguments in found if name == command]

    def scripts(self) -> list[str]:
        """Return the submitted batch scripts."""
        return [path.read_text() for path in sorted(self.folder.glob("script*.sh"))]


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeSlurm:
    """Commands of Slurm in front of any that are installed."""
    fake = FakeSlurm(tmp_path / "slurm-commands")
    monkeypatch.setenv("PATH", f"{fake.folder}{os.pathsep}{os.environ['PATH']}")
    return fake
