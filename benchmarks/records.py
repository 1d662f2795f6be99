"""Compare reading records and encoding them with the usual ways to do this.

    pip install -c constraints.txt -e '.[benchmark,parquet]'
    python benchmarks/records.py --text BOOKS.txt --gpt2 GPT2_FOLDER --keep RESULTS.md

The documents of ``BOOKS.txt`` (between ``<|endoftext|>``) are written as plain text, Parquet (zstd)
and JSON lines (zstd), ``--copies`` times with a number before each document. Every measurement runs
in a process of its own, with two threads or processes, and the ways take turns. Peak memory is the
proportional set size of the process with its children. All must write the same ids.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from results_file import ResultsFile

JOBS = Path(__file__).with_name("records_jobs.py")
END = "<|endoftext|>"
FORMS = {"plain": "texts.txt", "parquet": "texts.parquet", "jsonl.zst": "texts.jsonl.zst"}
PEERS = ("datasets", "datatrove", "polars")
POLL_SECONDS = 0.1


def write_forms(text: Path, copies: int, folder: Path) -> int:
    """Write the documents in every form; return the bytes of the plain text."""
    import orjson
    import pyarrow
    import pyarrow.parquet
    import zstandard

    documents = [document for document in text.read_text("utf-8").split(END) if document]
    schema = pyarrow.schema([("text", pyarrow.string())])
    size = 0
    with (
        open(folder / FORMS["plain"], "wb") as plain,
        zstandard.open(folder / FORMS["jsonl.zst"], "wb") as lines,
        pyarrow.parquet.ParquetWriter(
            folder / FORMS["parquet"], schema, compression="zstd"
        ) as table,
    ):
        for copy in range(copies):
            texts = documents if copies == 1 else [f"{copy} {text}" for text in documents]
            data = "".join(one + END for one in texts).encode()
            size += len(data)
            plain.write(data)
            lines.write(b"".join(orjson.dumps({"text": one}) + b"\n" for one in texts))
            table.write_table(pyarrow.table({"text": texts}, schema))
    return size


def measure(way: str, form: str, folder: Path, gpt2: Path) -> dict[str, float] | str:
    """Run one way; return wall seconds and peak megabytes, or the name of a missing package."""
    out = folder / "ids.bin"
    out.unlink(missing_ok=True)
    environment = dict(os.environ) | {
        name: "2" for name in ("RAYON_NUM_THREADS", "OMP_NUM_THREADS", "POLARS_MAX_THREADS")
    } | {"HF_HUB_OFFLINE": "1", "HF_DATASETS_CACHE": str(folder / "cache")}  # fmt: skip
    started = time.perf_counter()
    with open(folder / "messages", "wb") as messages:
        child = subprocess.Popen(
            [sys.executable, str(JOBS), way, str(folder / FORMS[form]), str(gpt2), str(out)],
            stdout=messages, stderr=messages, env=environment,
        )  # fmt: skip
        found = [0.0]
        watch = threading.Thread(target=_watch, args=(child.pid, found), daemon=True)
        watch.start()
        child.wait()
    wall = time.perf_counter() - started
    watch.join()
    text = (folder / "messages").read_text("utf-8", errors="replace")
    if "ModuleNotFoundError" in text:
        return text.rstrip().rpartition("\n")[2]
    if child.returncode:
        raise SystemExit(f"{way} {form} failed:\n{text[-3000:]}")
    with open(out, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {"wall": wall, "peak": max(found), "ids": int(digest[:12], 16)}


def _watch(pid: int, found: list[float]) -> None:
    """Append the megabytes of a process and its children until it ends."""
    while megabytes := sum(map(_proportional_mb, _tree(pid))):
        found.append(megabytes)
        time.sleep(POLL_SECONDS)


def _tree(pid: int) -> Iterator[int]:
    yield pid
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return
    for child in children:
        yield from _tree(int(child))


def _proportional_mb(pid: int) -> float:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


def compare(
    results: ResultsFile, form: str, ways: list[str], rounds: int, folder: Path, gpt2: Path
) -> None:
    """Let the ways take turns at a form, and print medians and ratios."""
    found: dict[str, list[dict[str, float]]] = {}
    for turn in range(rounds):
        for way in ways:
            if turn and way in PEERS:
                continue  # they take long, and their ratio is far from its limit
            name = "lmlab" if way == "plain" else way
            one = measure(name, "plain" if way == "plain" else form, folder, gpt2)
            if isinstance(one, str):
                results.write_line(f"{way}: {one}")
            else:
                found.setdefault(way, []).append(one)
    results.write_line(f"\n| {form} | runs | wall s | peak MB | wall, of lmlab's | ids |")
    results.write_line("|---|---:|---:|---:|---:|---|")
    ours = statistics.median(one["wall"] for one in found["lmlab"])
    ids = found["lmlab"][0]["ids"]
    for way, runs in found.items():
        wall = statistics.median(one["wall"] for one in runs)
        name = "lmlab, plain text" if way == "plain" else way
        results.write_line(
            f"| {name} | {len(runs)} | {wall:.2f} | {max(one['peak'] for one in runs):.0f} | "
            f"{wall / ours:.2f} | {'equal' if runs[0]['ids'] == ids else 'DIFFERENT'} |"
        )


def main() -> None:
    """Measure all forms."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--text", type=Path, required=True)
    parser.add_argument("--gpt2", type=Path, required=True, help="vocab.json and merges.txt")
    parser.add_argument("--copies", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--ways", nargs="*", default=["lmlab", "plain", *PEERS])
    parser.add_argument("--keep", type=Path)
    options = parser.parse_args()
    results = ResultsFile(options.keep)
    results.write_header(["pyarrow", "zstandard", "orjson", *PEERS, "tokenizers", "tiktoken"])
    with tempfile.TemporaryDirectory(prefix="lmlab-records-") as name:
        size = write_forms(options.text, options.copies, Path(name))
        results.write_line(f"{size / 1e6:,.0f} MB of text, two threads or processes")
        for form in ("parquet", "jsonl.zst"):
            compare(results, form, options.ways, options.rounds, Path(name), options.gpt2)
    results.write_line()
    results.write_line(json.dumps({"load": os.getloadavg()[0]}))


if __name__ == "__main__":
    main()
