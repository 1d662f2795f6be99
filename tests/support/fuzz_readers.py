"""Mutated files for every reader: ``python tests/support/fuzz_readers.py --files 20000 --seed 1``.

Each file of small folders of each kind (a run, a study, its records, a demo, Slurm's records,
caches, Hugging Face models and tokenizers) is mutated with knowledge of its structure, and read in
this process by what the commands read it with. A reader may

- give the same result,
- give another one that the content says, which only content can do that a program could have
  written,
- say what is wrong: an error or a warning of one line that names the file, and the field where the
  type or the range of a value was changed.

Everything else is a failure: another exception, a time limit, a result that changed silently.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import io
import logging
import random
import re
import resource
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

if __name__ == "__main__":
    sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[2])]

import torch
from fuzz_folders import FOLDERS, Folder
from fuzz_mutations import Mutation, mutate
from fuzz_silent import may_be_silent

from lmlab.errors import UserError, shorten
from lmlab.storage.fields import warn_once

_SECONDS = 5.0  # of CPU per file
_MORE_BYTES = 3 << 30  # of address space: what a size that is not checked would exceed
_LONGEST_LINE = 2000  # characters
_FIELD_KINDS = ("type", "negative", "huge")
# A file with a checksum is refused as a whole, and a vocabulary is named by its ids.
_WHOLE = re.compile(
    "checksum|altered|fit the run|belongs to|differs from|not th(e tokenizer|at of the run)"
    "|vocabulary id"
)
OUTCOMES = ("same", "as the content says", "told", "failed")


class Outcome(NamedTuple):
    """What a reader did with a file.

    Attributes:
        result: what it returned; :class:`UserError` where it raised one.
        told: the lines of errors and warnings.
        printed: the lines of its output.
        problem: what may never happen; empty if it did not.
    """

    result: Any
    told: tuple[str, ...]
    printed: frozenset[str]
    problem: str


class Failure(NamedTuple):
    """A reader that failed.

    Attributes:
        reader: its name.
        file: the mutated file.
        mutation: kind and field.
        problem: what it did.
    """

    reader: str
    file: str
    mutation: str
    problem: str

    def __str__(self) -> str:
        return f"{self.reader}: {self.file}: {self.mutation}: {self.problem}"


class _Told(logging.Handler):
    """Collects warnings."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())


class TimeLimit(BaseException):
    """A reader takes too long. No reader may catch it."""


def _stop(*_: Any) -> None:
    raise TimeLimit


@contextlib.contextmanager
def limits() -> Iterator[None]:
    """Limit the address space of this process, so that sizes that are not checked show."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + _MORE_BYTES, before[1]))
    previous = signal.signal(signal.SIGVTALRM, _stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGVTALRM, previous)
        resource.setrlimit(resource.RLIMIT_AS, before)


def read(folder: Folder, place: Path) -> Outcome:
    """Read a folder with one of its readers."""
    told = _Told()
    # As the standard output of a command: text that cannot be encoded is an error.
    out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True)
    warn_once.cache_clear()
    logger = logging.getLogger("lmlab")
    logger.addHandler(told)
    result, problem = None, ""
    signal.setitimer(signal.ITIMER_VIRTUAL, _SECONDS)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
            result = folder.read(place)
    except UserError as error:
        told.messages.append(shorten(error.message))
        result = UserError
    except TimeLimit:
        problem = f"took more than {_SECONDS:.0f} s"
    except Exception as error:
        frames = traceback.extract_tb(error.__traceback__)
        inner = [f"{Path(f.filename).name}:{f.lineno}" for f in frames if "lmlab" in f.filename]
        problem = f"{type(error).__name__}: {str(error)[:100]} at {' '.join(inner[-3:])}"
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        logger.removeHandler(told)
    out.seek(0)
    return Outcome(result, tuple(told.messages), frozenset(out.read().splitlines()), problem)


def judge(folder: Folder, file: str, mutation: Mutation, before: Outcome, now: Outcome) -> str:
    """Say what is wrong with how a reader took a mutated file; empty if nothing is."""
    if now.problem:
        return now.problem
    new = [line for line in now.told if line not in before.told]
    if long := [line for line in new if "\n" in line or len(line) > _LONGEST_LINE]:
        return f"a message of more than one line: {long[0][:150]}"
    names = folder.named(Path(file))
    named = [line for line in new if any(name in line for name in names)]
    if now.result is UserError and not named:
        return f"an error that does not name the file: {' '.join(now.told)[:200]}"
    needs_field = mutation.kind in _FIELD_KINDS and mutation.field and named
    if needs_field and not any(_names(one, mutation.field) or _WHOLE.search(one) for one in named):
        return f"a message that does not name the field: {named[0][:200]}"
    if now.result is UserError or now.result == before.result or named:
        return ""
    name = Path(file).name
    if any(name in line for line in now.printed - before.printed):
        return ""
    if may_be_silent(folder.name, file, mutation):
        return ""
    return f"a silent change: {_difference(before.result, now.result)}"


def _names(line: str, field: str) -> bool:
    """Whether a message names a field or an object around it."""
    parts = {part.rstrip("[]") for part in field.split(".")} - {""}
    return any(part in line or part.replace("_", " ") in line for part in parts)


def _difference(before: Any, now: Any) -> str:
    """The first parts of two results that differ."""
    if isinstance(before, tuple | list) and isinstance(now, tuple | list):
        if len(before) == len(now):
            pairs = zip(before, now, strict=True)
            return next((_difference(*pair) for pair in pairs if pair[0] != pair[1]), "")
        return f"{len(before)} -> {len(now)} parts"
    return f"{str(before)[:100]} -> {str(now)[:100]}"


def fuzz(
    num_files: int, seed: int, only: str = "", keep: Path | None = None
) -> tuple[Counter[tuple[str, str, str]], list[Failure]]:
    """Read mutated files.

    Args:
        num_files: how many.
        seed: of the mutations.
        only: a part of the names of the readers to test; empty: all.
        keep: a folder for the files that fail.

    Returns:
        How many files there were, by reader, kind of mutation and outcome; and the failures.
    """
    rng = random.Random(seed)
    counts: Counter[tuple[str, str, str]] = Counter()
    failures: list[Failure] = []
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as temporary, limits():
        root = Path(temporary)
        chosen = [folder for folder in FOLDERS if only in folder.name]
        places: dict[str, Path] = {}
        for folder in chosen:
            if folder.template not in places:
                places[folder.template] = folder.make(root / folder.template)
        before = {folder.name: read(folder, places[folder.template]) for folder in chosen}
        for name, outcome in before.items():
            assert not outcome.problem and outcome.result is not UserError, (name, outcome)
        for number in range(num_files):
            folder = chosen[number % len(chosen)]
            place = places[folder.template]
            path = rng.choice(folder.files(place))
            file = path.relative_to(place).as_posix()
            original = path.read_bytes()
            mutation = mutate(path.name, original, rng)
            try:
                path.write_bytes(mutation.content)
                now = read(folder, place)
            finally:
                path.write_bytes(original)
            wrong = judge(folder, file, mutation, before[folder.name], now)
            counts[folder.name, mutation.kind, _outcome(before[folder.name], now, wrong)] += 1
            if wrong:
                shown = f"{mutation.kind} {mutation.field}".strip()
                failures.append(Failure(folder.name, file, shown, wrong))
                if keep is not None:
                    keep.mkdir(parents=True, exist_ok=True)
                    (keep / f"{number}-{path.name}").write_bytes(mutation.content)
    return counts, failures


def _outcome(before: Outcome, now: Outcome, wrong: str) -> str:
    if wrong:
        return "failed"
    if now.result is UserError or set(now.told) - set(before.told):
        return "told"
    return "same" if now.result == before.result else "as the content says"


def table(counts: Counter[tuple[str, str, str]], column: int) -> list[str]:
    """Lines of a Markdown table by reader (column 0) or kind of mutation (column 1)."""
    title = ("reader", "mutation")[column]
    lines = [f"| {title} | files | {' | '.join(OUTCOMES)} |", "|---" * (len(OUTCOMES) + 2) + "|"]
    for name in sorted({key[column] for key in counts}):
        numbers = [
            sum(n for key, n in counts.items() if key[column] == name and key[2] == outcome)
            for outcome in OUTCOMES
        ]
        lines.append(f"| {name} | {sum(numbers)} | {' | '.join(map(str, numbers))} |")
    return lines


def main() -> int:
    """Print tables and the failures; return 1 where a reader failed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--files", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", help="a part of the names of the readers")
    parser.add_argument("--save", type=Path, help="a file for the output")
    parser.add_argument("--keep", type=Path, help="a folder for the files that fail")
    options = parser.parse_args()
    logging.lastResort = None
    start = time.monotonic()
    counts, failures = fuzz(options.files, options.seed, options.only, options.keep)
    arguments = " ".join(sys.argv[1:])
    lines = [
        f"# python tests/support/fuzz_readers.py {arguments}", "",
        f"{datetime.date.today()}, CPU, one process", "",
        *table(counts, 0), "", *table(counts, 1), "",
        f"{options.files} files, seed {options.seed}, {time.monotonic() - start:.0f} s, "
        f"{len(failures)} failures.",
        *(f"- {number} x {text}" for text, number in Counter(map(str, failures)).most_common(100)),
    ]  # fmt: skip
    print("\n".join(lines))
    if options.save is not None:
        options.save.write_text("\n".join(lines) + "\n", "utf-8")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
