"""Commands of Slurm that answer from files, to test what lmlab asks and how it reads the answers.

``sbatch`` records its arguments and the batch script; ``squeue``, ``scontrol`` and ``sacct`` print
what a test has written. A test of what a cluster really does uses :mod:`cluster`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

COMMANDS = ("sbatch", "srun", "squeue", "scontrol", "sacct")

PROGRAM = """#!{python}
import json, sys
from pathlib import Path

folder, name, arguments = Path({folder!r}), {name!r}, sys.argv[1:]
with open(folder / "calls.jsonl", "a") as calls:
    calls.write(json.dumps([name, *arguments]) + "\\n")
failing = folder / f"{{name}}.fails"
if failing.exists():
    print(failing.read_text(), file=sys.stderr)
    sys.exit(1)
if name == "sbatch":
    number = 100 + len(list(folder.glob("script*.sh")))
    (folder / f"script{{number}}.sh").write_text(Path(arguments[-1]).read_text())
    print(f"Submitted batch job {{number}}")
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

    def show_jobs(self, *jobs: tuple[str, int, str, str]) -> None:
        """Set the queue: name, index, state and reason of each job."""
        self.answer("squeue", "".join(f"{n}|{i}|{s}|{r}\n" for n, i, s, r in jobs))

    def calls(self, command: str) -> list[list[str]]:
        """Return the arguments of all calls of a command."""
        path = self.folder / "calls.jsonl"
        lines = path.read_text().splitlines() if path.exists() else []
        found = map(json.loads, lines)
        return [arguments for name, *arguments in found if name == command]

    def scripts(self) -> list[str]:
        """Return the submitted batch scripts."""
        return [path.read_text() for path in sorted(self.folder.glob("script*.sh"))]
