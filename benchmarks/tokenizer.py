"""Compare the tokenizer with every peer on PyPI: training, encoding, start-up.

    pip install -c constraints.txt -e '.[benchmark]'
    python benchmarks/tokenizer.py --text BOOKS.txt --gpt2 GPT2_FOLDER

Every measurement runs in a separate process, and the libraries take turns. The tables report
medians: wall and CPU seconds of the full process, the seconds of the work in it, and its peak
memory. Libraries that follow the same rules must give equal results. ``GPT2_FOLDER`` holds
``vocab.json`` and ``merges.txt`` as published for GPT-2. ``--keep`` also writes the output to a
file.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import importlib
import itertools
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from results_file import ResultsFile, version

JOBS = Path(__file__).with_name("tokenizer_jobs.py")
LIBRARIES = {
    "train": [
        "lmlab", "gigatoken", "ffbpe", "rustbpe", "sentencepiece", "bpeasy", "tokenizers",
    ],
    "file": ["lmlab", "gigatoken", "fastokens", "tiktoken", "tokenizers"],
    "text": ["lmlab", "gigatoken"],
    "line": ["lmlab"],
    "kernels": ["lmlab"],
}  # fmt: skip
# Libraries that must give lmlab's results; the others break ties or split text differently.
EQUAL = {"train": ["ffbpe"], "file": LIBRARIES["file"], "text": LIBRARIES["text"]}
SLOW = {"tokenizers", "tiktoken", "bpeasy", "sentencepiece"}


def measure(
    library: str, job: str, settings: dict[str, Any], environment: dict[str, str]
) -> dict[str, Any] | None:
    """Run a job in a separate process; None if the library is not installed."""
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(settings, file)
        file.flush()
        started = time.perf_counter()
        command = [sys.executable, str(JOBS), library, job, file.name]
        child = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
        )
        assert child.stdout is not None and child.stderr is not None
        output, errors = child.stdout.read(), child.stderr.read()
        _, status, usage = os.wait4(child.pid, 0)
        wall = time.perf_counter() - started
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"{library} {job} failed:\n{errors.decode()}")
    found = json.loads(output.decode().splitlines()[-1])
    if found.get("missing"):
        return None
    return found | {
        "wall": wall,
        "cpu": usage.ru_utime + usage.ru_stime,
        "messages": errors.decode().strip(),
    }


def compare(
    results: ResultsFile,
    title: str,
    job: str,
    settings: dict[str, Any],
    rounds: int,
    chosen: list[str],
) -> None:
    """Let the libraries take turns at a job, and print medians and ratios to lmlab."""
    results.write_line(f"\n## {title}")
    runs: dict[str, list[dict[str, Any]]] = {}
    made: dict[str, str] = {}
    environment = dict(os.environ) | {
        name: str(settings["threads"])
        for name in ("RAYON_NUM_THREADS", "OMP_NUM_THREADS", "TOKENIZERS_NUM_THREADS")
    }
    libraries = [name for name in LIBRARIES[job] if name in chosen]
    for turn in range(rounds):
        for library in libraries:
            if library in SLOW and turn >= 2:
                continue
            found = measure(library, job, settings, environment)
            if found is None:
                if turn == 0:
                    results.write_line(f"{library} is not installed")
                continue
            runs.setdefault(library, []).append(found)
            made[library] = found.get("made") or _hash_out(settings)
    ours = {key: median(runs["lmlab"], key) for key in ("wall", "seconds")}
    size = settings["size"] / 1e6
    results.write_line(f"{'':14} {'runs':>4} {'wall s':>8} {'work s':>8} {'MB/s':>7} {'CPU s':>7} "
                f"{'peak MB':>8} {'wall ratio':>10} {'work ratio':>10}")  # fmt: skip
    for library, found in runs.items():
        wall, work = median(found, "wall"), median(found, "seconds")
        results.write_line(
            f"{library:14} {len(found):4} {wall:8.2f} {work:8.2f} {size / work:7.0f} "
            f"{median(found, 'cpu'):7.2f} {median(found, 'peak_mb'):8.0f} "
            f"{wall / ours['wall']:10.2f} {work / ours['seconds']:10.2f}"
        )
    for library, found in runs.items():
        if "kind" in found[0]:
            results.write_line(f"{library} returns {found[0]['kind']}")
    for library in EQUAL.get(job, []):
        if library in made and library != "lmlab":
            same = "equal to" if made[library] == made["lmlab"] else "DIFFERENT FROM"
            results.write_line(f"{library}'s result is {same} lmlab's")


def median(runs: list[dict[str, Any]], key: str) -> float:
    """The median of one field over runs."""
    return statistics.median(run[key] for run in runs)


def _hash_out(settings: dict[str, Any]) -> str:
    out = Path(settings["out"])
    if not out.exists():
        return ""
    with open(out, "rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    out.unlink()
    return found


def start(results: ResultsFile, settings: dict[str, Any], rounds: int) -> None:
    """Start-up times: a process that encodes a line, and the very first use of the kernels."""
    results.write_line("\n## start of a process")
    environment = dict(os.environ)
    for job, title in (
        ("line", "load GPT-2's vocabulary, encode a line"),
        ("kernels", "the same, by the kernels"),
    ):
        runs = [measure("lmlab", job, settings, environment) for _ in range(rounds)]
        found = [run for run in runs if run is not None]
        longest = max(run["wall"] for run in found)
        results.write_line(
            f"{title:45} median {median(found, 'wall'):.2f} s, longest {longest:.2f} s "
            f"of {len(found)}; CPU {median(found, 'cpu'):.2f} s"
        )
    with tempfile.TemporaryDirectory() as folder:
        empty = environment | {"XDG_CACHE_HOME": folder, "HOME": folder}
        for title in ("first use ever, kernels compiled", "the next use"):
            run = measure("lmlab", "kernels", settings, empty)
            assert run is not None
            results.write_line(f"{title:45} {run['wall']:.2f} s; CPU {run['cpu']:.2f} s; "
                        f"stderr: {run['messages'] or 'empty'}")  # fmt: skip


def memory(results: ResultsFile, base: dict[str, Any], text: Path, folder: Path) -> None:
    """Peak memory as files grow: encode 0.3 and 3 GB, train on 0.1, 1 and 10 GB."""
    results.write_line("\n## peak memory of a process")
    results.write_line(f"{'':52} {'GB':>6} {'peak MB':>8} {'wall s':>8}")

    def report(title: str, job: str, size: int, **settings: Any) -> None:
        found = measure("lmlab", job, base | {"size": size} | settings, dict(os.environ))
        assert found is not None
        results.write_line(
            f"{title:52} {size / 1e9:6.2f} {found['peak_mb']:8.0f} {found['wall']:8.1f}"
        )

    large, many = three_times(text, folder), folder / "many_times.txt"
    with open(many, "wb") as file:
        for _ in range(10):
            file.write(large.read_bytes())
    for path in (large, many):
        report("file to token file, GPT-2", "file", path.stat().st_size, text=str(path))
        Path(base["out"]).unlink()
    many.unlink()
    for times in (1, 10, 100):
        settings = {"text": str(text), "repeat": times, "vocab_size": 32_000}
        title = f"training, 32,000 entries, the text {times} times"
        report(title, "train", times * text.stat().st_size, **settings)
    ideographs = distinct_words(folder)
    title = "training, 32,000 entries, words of ideographs"
    report(title, "train", ideographs.stat().st_size, text=str(ideographs), vocab_size=32_000)


def distinct_words(folder: Path) -> Path:
    """Text without spaces, like Chinese: 4 M words of 2 to 9 ideographs, few of them repeated."""
    chance = random.Random(0)
    # A few ideographs are far more frequent than others.
    frequencies = [1 / (rank + 10) for rank in range(6000)]
    letters = "".join(chr(0x4E00 + index) for index in range(6000))
    found = folder / "ideographs.txt"
    with open(found, "w", encoding="utf-8", newline="") as file:
        for _ in range(40):
            drawn = "".join(chance.choices(letters, frequencies, k=550_000))
            ends = itertools.accumulate(chance.choices(range(2, 10), k=100_000))
            borders = [0, *ends]
            file.write("\u3002".join(drawn[a:b] for a, b in itertools.pairwise(borders)))
    return found


def prepare(gpt2: Path, folder: Path) -> dict[str, str]:
    """Write GPT-2's vocabulary in the formats that the libraries read."""
    sys.path.insert(0, str(JOBS.parent))
    files = importlib.import_module("lmlab.tokenizer.serialization")
    vocab = files.parse(gpt2, files.read(gpt2)).vocab
    ranks = folder / "ranks.tiktoken"
    ranks.write_bytes(
        b"".join(
            base64.b64encode(entry) + b" %d\n" % index
            for index, entry in vocab.items()
            if index < 50256
        )
    )
    tokenizer_json = folder / "tokenizer.json"
    entries = json.loads((gpt2 / "vocab.json").read_text("utf-8"))
    lines = (gpt2 / "merges.txt").read_text("utf-8").split("\n")
    merges = [line.split(" ") for line in lines if line and not line.startswith("#version")]
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True}
    end = {"id": 50256, "content": "<|endoftext|>", "special": True, "single_word": False,
           "lstrip": False, "rstrip": False, "normalized": False}  # fmt: skip
    tokenizer_json.write_text(
        json.dumps(
            {
                "version": "1.0",
                "added_tokens": [end],
                "normalizer": None,
                "pre_tokenizer": byte_level | {"use_regex": True},
                "post_processor": None,
                "decoder": byte_level | {"use_regex": True},
                "model": {"type": "BPE", "vocab": entries, "merges": merges},
            }
        )
    )
    return {"gpt2": str(gpt2), "tiktoken": str(ranks), "tokenizer_json": str(tokenizer_json)}


def three_times(text: Path, folder: Path) -> Path:
    """Three variants of the text in one file: as it is, in lower case, and with permuted vowels."""
    path = folder / "three_times.txt"
    if path.exists():
        return path
    content = text.read_bytes().decode("utf-8")
    permuted = content.translate(str.maketrans("aeiou", "eioua"))
    permuted = permuted.replace("<|indufvixv|>", "<|endoftext|>")
    with open(path, "wb") as file:
        for part in (content, content.lower(), permuted):
            file.write(part.encode("utf-8"))
    return path


def main() -> None:
    """Measure, print and save."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--text", type=Path, required=True, help="a large UTF-8 text")
    parser.add_argument("--small", type=Path, help="a smaller text, to train 10,000 entries")
    parser.add_argument("--gpt2", type=Path, help="folder with vocab.json and merges.txt")
    parser.add_argument("--tasks", default="train,file,large,text,start,memory")
    parser.add_argument("--only", default="", help="libraries to compare with lmlab; default: all")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--keep", type=Path, help="file to save the output in")
    options = parser.parse_args()
    every = sorted({name for names in LIBRARIES.values() for name in names})
    chosen = ["lmlab", *options.only.split(",")] if options.only else every
    results = ResultsFile(options.keep)
    results.write_header([name for name in every if version(name) != "not installed"])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        base: dict[str, Any] = {"threads": options.threads, "out": str(folder / "out")}
        base |= prepare(options.gpt2, folder) if options.gpt2 else {}
        tasks = options.tasks.split(",")

        def job(title: str, kind: str, text: Path, without: set[str], **more: Any) -> None:
            size = text.stat().st_size
            settings = base | {"text": str(text), "size": size} | more
            title = f"{title}, {size / 1e6:.0f} MB, {options.threads} threads"
            libraries = [name for name in chosen if name not in without]
            compare(results, title, kind, settings, options.rounds, libraries)

        if "train" in tasks:
            job("training, 32,000 entries", "train", options.text, set(), vocab_size=32_000)
            if options.small:
                job("training, 10,000 entries", "train", options.small, set(), vocab_size=10_000)
        if "file" in tasks:
            job("file to token file, GPT-2", "file", options.text, set())
        if "large" in tasks:
            large = three_times(options.text, folder)
            job("file to token file, GPT-2, three times over", "file", large, SLOW)
        if "text" in tasks:
            for same, title in ((False, "a new string each time"), (True, "one string again")):
                title = f"one text in memory, warm, GPT-2, {title}"
                job(title, "text", options.text, set(), repetitions=6, same_string=same)
        if "start" in tasks:
            start(results, base | {"size": 0}, options.rounds)
        if "memory" in tasks:
            memory(results, base, options.text, folder)


if __name__ == "__main__":
    main()
