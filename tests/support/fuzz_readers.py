"""Mutated files for every reader: ``python tests/support/fuzz_readers.py --files 20000 --seed 1``.

Each file of small folders of each kind (a run, a study, its records, a demo, Hugging Face models
and tokenizers) is mutated with knowledge of its structure, and read in this process by what the
commands read it with. A reader may

- give the same result,
- give another one that the content says, which only a change from a value to a valid one can do,
- say what is wrong: a :class:`UserError`, a warning or an output that names the file.

Everything else is a failure: another exception, a time limit, a result that changed silently.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import logging
import random
import resource
import signal
import struct
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))

import yaml
from fuzz_folders import FOLDERS, Folder

from lmlab.errors import UserError
from lmlab.storage.fields import warn_once

_SECONDS = 5.0  # of CPU per file
_MORE_BYTES = 3 << 30  # of address space: what a size that is not checked would exceed
_TYPES: list[Any] = ["text", "", 7, -1, 1.5, True, [], {}, [[1]], {"a": None}, "9" * 40, "[bold]x"]
_HUGE: list[Any] = [10**9, 10**12, 2**63, 10**400, 1e308, "x" * 100_000]
_NAN = "@@nan@@"
_NUMBERS_OF_JSON = ("NaN", "Infinity", "-Infinity", "1e999")


class Mutation(NamedTuple):
    """A changed file.

    Attributes:
        kind: what was changed.
        content: of the file.
        is_damage: whether no program writes such content, so that a changed result must be told.
    """

    kind: str
    content: bytes
    is_damage: bool


def mutate(name: str, content: bytes, rng: random.Random) -> Mutation:
    """Return a mutation of a file by its name: JSON, JSON Lines, YAML, safetensors or text."""
    if rng.random() < 0.2 or not content:
        return _mutate_bytes(content, rng)
    if name.endswith(".jsonl"):
        lines = content.splitlines(keepends=True)
        index = rng.randrange(len(lines))
        kind, line, is_damage = _mutate_tree(json.loads(lines[index]), json_text, rng)
        lines[index] = line + b"\n"
        return Mutation(kind, b"".join(lines), is_damage)
    if name.endswith(".json"):
        return _mutate_tree(json.loads(content), json_text, rng)
    if name.endswith(".yaml"):
        return _mutate_tree(yaml.safe_load(content), yaml_text, rng)
    if name.endswith(".safetensors"):
        return _mutate_tensors(content, rng)
    return _mutate_lines(content, rng)


def json_text(tree: Any, rng: random.Random) -> bytes:
    """JSON, with a number that is not finite in place of its mark."""
    return json.dumps(tree).replace(f'"{_NAN}"', rng.choice(_NUMBERS_OF_JSON)).encode()


def yaml_text(tree: Any, rng: random.Random) -> bytes:
    """YAML, with a number that is not finite in place of its mark."""
    number = rng.choice([".nan", ".inf", "-.inf"])
    return yaml.safe_dump(tree, sort_keys=False).replace(f"'{_NAN}'", number).encode()


def _places(tree: Any) -> Iterator[tuple[Any, Any]]:
    """Yield the containers and keys of all values of a tree."""
    items = tree.items() if isinstance(tree, dict) else enumerate(tree)
    for key, value in items:
        yield tree, key
        if isinstance(value, dict | list):
            yield from _places(value)


def _mutate_tree(
    tree: Any, write: Callable[[Any, random.Random], bytes], rng: random.Random
) -> Mutation:
    places = list(_places(tree)) if isinstance(tree, dict | list) else []
    if not places:
        return _mutate_bytes(write(tree, rng), rng)
    # Few lists are so long that a choice among all places would meet nothing else.
    by_container: dict[int, list[tuple[Any, Any]]] = {}
    for place in places:
        by_container.setdefault(id(place[0]), []).append(place)
    container, key = rng.choice(rng.choice(list(by_container.values())))
    value = container[key]
    kind = rng.choice(["type", "null", "missing", "huge", "negative", "nan", "deep", "length",
                       "duplicate", "value", "root", "path"])  # fmt: skip
    is_damage = True
    if kind == "missing":
        del container[key]
    elif kind == "deep":
        container[key] = "@@deep@@"
        depth = rng.choice([300, 5000, 100_000])
        nested = b"[" * depth + b"]" * depth
        return Mutation(kind, write(tree, rng).replace(b'"@@deep@@"', nested)
                        .replace(b"'@@deep@@'", nested), True)  # fmt: skip
    elif kind == "length" and isinstance(value, list):
        container[key] = rng.choice([value[:-1], value * 2, value[:1], [value], []])
    elif kind == "duplicate" and isinstance(container, dict) and isinstance(key, str):
        text = write(tree, rng)
        old, name = json.dumps(key).encode(), key.encode()
        if write is json_text:
            return Mutation(kind, text.replace(old + b":", old + b": 3, " + old + b":", 1), True)
        return Mutation(kind, text + b"\n" + name + b": 3\n" + name + b": 4\n", True)
    elif kind == "value" and isinstance(value, bool | int | float):
        is_damage = False
        container[key] = (
            not value if isinstance(value, bool) else value * rng.choice([2, 10, 0]) + 1
        )
    elif kind == "root":
        tree = rng.choice([[], {}, 3, "text", None, [tree], {"a": tree}])
    elif kind == "path" and isinstance(value, str):
        container[key] = rng.choice(["../../../x", "/etc/passwd", "a\0b", "x" * 300, "..", "\udcff"
                                     if write is json_text else "~"])  # fmt: skip
    else:
        new = {"null": None, "nan": _NAN, "huge": rng.choice(_HUGE)}
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if kind == "negative" and is_number:
            new[kind] = -abs(value) - 1
        container[key] = new.get(kind, rng.choice(_TYPES))
        kind = kind if kind in new else "type"
        is_damage = kind not in ("negative", "huge", "nan", "null") or not is_number
        is_damage = is_damage and type(container[key]) is not type(value)
    return Mutation(kind, write(tree, rng), is_damage)


def _mutate_bytes(content: bytes, rng: random.Random) -> Mutation:
    place = rng.randrange(len(content) + 1)
    kind = rng.choice(["truncated", "empty", "not UTF-8", "zeros", "byte", "twice", "BOM"])
    changed = {
        "truncated": content[:place],
        "empty": b"",
        "not UTF-8": content[:place] + b"\xff\xfe\xc3(" + content[place:],
        "zeros": bytes(len(content)),
        "byte": content[:place] + bytes([rng.randrange(256)]) + content[place + 1 :],
        "twice": content + content,
        "BOM": b"\xef\xbb\xbf" + content,
    }
    # One byte can turn a digit into another, which nothing shows.
    return Mutation(kind, changed[kind], kind not in ("byte", "twice"))


def _mutate_tensors(content: bytes, rng: random.Random) -> Mutation:
    size = struct.unpack("<Q", content[:8])[0]
    if rng.random() < 0.3:
        claimed = rng.choice([0, 1, size + 1, 10**9, 2**63, 2**64 - 1])
        return Mutation("header size", struct.pack("<Q", claimed) + content[8:], True)
    changed = _mutate_tree(json.loads(content[8 : 8 + size]), json_text, rng)
    header = struct.pack("<Q", len(changed.content)) + changed.content
    return Mutation(f"header {changed.kind}", header + content[8 + size :], True)


def _mutate_lines(content: bytes, rng: random.Random) -> Mutation:
    lines = content.splitlines(keepends=True)
    index = rng.randrange(len(lines))
    kind = rng.choice(["lines missing", "line twice", "long line", "line of other content"])
    if kind == "lines missing":
        del lines[index:]
    elif kind == "line twice":
        lines.insert(index, lines[index])
    elif kind == "long line":
        lines[index] = b"x" * 100_000 + b"\n"
    else:
        lines[index] = rng.choice([b"\0\n", b"a b c d e\n", b"-1 -1\n", b"==== 99999999999999\n"])
    return Mutation(kind, b"".join(lines), True)


class _Told(logging.Handler):
    """Collects warnings."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.text = ""

    def emit(self, record: logging.LogRecord) -> None:
        self.text += record.getMessage() + "\n"


class TimeLimit(Exception):
    """A reader takes too long."""


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


class Outcome(NamedTuple):
    """What a reader did with a file: what it returned, and what it said."""

    result: Any
    said: str
    problem: str


def read(folder: Folder, place: Path) -> Outcome:
    """Read a folder with one of its readers."""
    told, out = _Told(), io.StringIO()
    warn_once.cache_clear()
    logger = logging.getLogger("lmlab")
    logger.addHandler(told)
    result, problem = None, ""
    signal.setitimer(signal.ITIMER_VIRTUAL, _SECONDS)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
            result = folder.read(place)
    except UserError as error:
        told.text += str(error)
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
    return Outcome(result, told.text + out.getvalue(), problem)


def judge(folder: Folder, file: str, mutation: Mutation, before: Outcome, now: Outcome) -> str:
    """Say what is wrong with how a reader took a mutated file; empty if nothing is."""
    if now.problem:
        return now.problem
    name = Path(file).name
    names = {name, Path(file).parent.name, *folder.also_named.get(name, ())}
    is_told = any(one in now.said for one in names) and now.said != before.said
    if now.result is UserError:
        return "" if is_told else f"an error that does not name the file: {now.said[:150]}"
    if now.result == before.result or is_told:
        return ""
    if not mutation.is_damage or folder.says(file, mutation.kind):
        return ""
    return f"a silent change: {str(before.result)[:100]} -> {str(now.result)[:100]}"


def fuzz(num_files: int, seed: int, only: str = "") -> tuple[Counter[str], list[str]]:
    """Read mutated files.

    Args:
        num_files: how many.
        seed: of the mutations.
        only: a part of the names of the readers to test; empty: all.

    Returns:
        How many files each reader took, by what it did, and the failures.
    """
    rng = random.Random(seed)
    counts: Counter[str] = Counter()
    failures: list[str] = []
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
            same = now.result == before[folder.name].result
            kind = (
                "failed"
                if wrong
                else "told"
                if now.result is UserError
                else "same"
                if same
                else "as the content says"
            )
            counts[f"{folder.name}: {kind}"] += 1
            if wrong:
                failures.append(f"{folder.name}: {file}: {mutation.kind}: {wrong}")
                if keep := globals().get("KEEP"):
                    (Path(keep) / f"{number}-{path.name}").write_bytes(mutation.content)
    return counts, failures


def main() -> int:
    """Print a summary; return 1 where a reader failed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--files", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", help="a part of the names of the readers")
    options = parser.parse_args()
    logging.disable(logging.NOTSET)
    logging.lastResort = None
    start = time.monotonic()
    counts, failures = fuzz(options.files, options.seed, options.only)
    readers = sorted({key.partition(": ")[0] for key in counts})
    kinds = ("same", "as the content says", "told", "failed")
    print(f"| reader | {' | '.join(kinds)} |\n|---|{'---|' * len(kinds)}")
    for reader in readers:
        print(f"| {reader} | {' | '.join(str(counts[f'{reader}: {kind}']) for kind in kinds)} |")
    print(f"\n{options.files} files, seed {options.seed}, {time.monotonic() - start:.0f} s, "
          f"{len(failures)} failures")  # fmt: skip
    for kind, number in Counter(failures).most_common(60):
        print(f"{number} x {kind}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
