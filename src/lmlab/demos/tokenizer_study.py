"""What a vocabulary's text and size make of it: compression, speed, memory, entries, splits."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lmlab.demos import Demo, Section
from lmlab.demos import tokenizer_figures as figures
from lmlab.demos import tokenizer_measures as measures
from lmlab.demos.tokenizer_job import TokenizerResult, measure
from lmlab.demos.tokenizer_measures import Estimate
from lmlab.errors import ConfigError
from lmlab.runtime.processor import cpu_name, usable_cores
from lmlab.runtime.provenance import provenance
from lmlab.storage.io import make_folder
from lmlab.tokenizer import Tokenizer
from lmlab.tokenizer.kernels.library import load

_LONGEST = 10


def tokenizer_study(
    *,
    config: Any,
    texts: list[str],
    heldout: list[str],
    vocab_sizes: list[int],
    documents: int,
    extrapolate_gb: float,
    strings: list[str],
) -> Demo:
    """Train a tokenizer on each text at each size, and compare them.

    Args:
        config: the run's; its seed draws the documents, and the tokenizers are kept beside the
            report.
        texts: training texts, UTF-8 files with an end-of-text token between documents.
        heldout: texts that compression is measured on, one for each training text; none: the
            training texts.
        vocab_sizes: entries in all, of each tokenizer.
        documents: how many are drawn from each text.
        extrapolate_gb: size of a text that the time to encode is extrapolated to.
        strings: whose splits are shown.

    Raises:
        ConfigError: no text is given, or other than one held-out text for each.
        DataError: a text cannot be read.
    """
    training, tested = _paths(texts, heldout)
    names = [path.stem for path in training]
    for group in ("counting", "merges", "encoding"):
        load(group)  # compiled now if ever, not while something is measured
    folder = Path(config.output_root) / config.study / "tokenizers"
    outcomes: dict[str, TokenizerResult] = {}
    found: dict[str, Tokenizer] = {}
    for (name, path), size in itertools.product(zip(names, training, strict=True), vocab_sizes):
        label = f"{name} {size:,}"
        make_folder(folder / f"{name}-{size}")
        outcomes[label] = measure(path, size, folder / f"{name}-{size}")
        found[label] = Tokenizer.load(folder / f"{name}-{size}")
    drawn = {
        name: measures.sample_documents(path, documents, config.seed)
        for name, path in zip(names, tested, strict=True)
    }
    compression = {
        label: {
            name: measures.bytes_per_token(tokenizer, some, config.seed)
            for name, some in drawn.items()
        }
        for label, tokenizer in found.items()
    }
    return Demo(
        title="tokenizer",
        question="What do the text and the size of a vocabulary make of it?",
        sections=[
            _compression(compression, drawn, bool(heldout)),
            _speed(outcomes, extrapolate_gb),
            _phases(outcomes),
            _entries(found),
            _overlap(found),
            Section("How strings split", ["A bar stands between tokens; <e2> is a byte that is "
                "no character by itself."], ["string", "tokenizer", "tokens", "split"],
                _splits(found, strings)),
        ],
        limits=[
            "Fewer tokens for a text are not a better model: compare models in bits a byte.",
            "The intervals are about these texts' documents, not about other texts.",
            "Seconds are of one machine and depend on what else ran there; CPU seconds do less so.",
            "The extrapolation takes the rates as they are, and a disk as quick as memory.",
        ],
    )  # fmt: skip


def _paths(texts: Sequence[str], heldout: Sequence[str]) -> tuple[list[Path], list[Path]]:
    if not texts:
        raise ConfigError(
            "demo.texts=[]: accepted are text files, for example "
            "'demo.texts=[childrens.txt,books.txt]'"
        )
    if heldout and len(heldout) != len(texts):
        raise ConfigError(
            f"demo.heldout={list(heldout)}: accepted are {len(texts)} files, one for each of "
            "demo.texts, or none"
        )
    training = [Path(text) for text in texts]
    tested = [Path(text) for text in heldout] or training
    for path in [*training, *tested]:
        if not path.is_file():
            key = "texts" if path in training else "heldout"
            raise ConfigError(f"demo.{key}: {path}: there is no such file")
    if len({path.stem for path in training}) < len(training):
        raise ConfigError("demo.texts: accepted are files of different names")
    return training, tested


def _compression(
    compression: dict[str, dict[str, Estimate]], drawn: dict[str, list[str]], heldout: bool
) -> Section:
    counts = ", ".join(f"{len(some)} of {name}" for name, some in drawn.items())
    source = "held-out text" if heldout else "the training text itself"
    rows = [[label, *(str(row[name]) for name in drawn)] for label, row in compression.items()]
    return Section(
        "Compression, at home and abroad",
        [f"Bytes of text a token stands for, on documents drawn from {source} ({counts}), with "
         "95% bootstrap intervals over documents. A tokenizer is at home on the text it is named "
         "after."],
        ["tokenizer", *(f"on {name}" for name in drawn)],
        rows,
        figure=("compression", figures.compression(compression)),
    )  # fmt: skip


def _speed(outcomes: dict[str, TokenizerResult], extrapolate_gb: float) -> Section:
    rows = []
    for label, outcome in outcomes.items():
        rates = sorted(outcome.encoding_mb_per_s)
        middle = statistics.median(rates)
        size, cpu = outcome.text_bytes / 1e6, outcome.phases[-1].cpu_seconds
        spread = f"{rates[0]:,.0f} to {rates[-1]:,.0f}"
        rows.append([label, f"{size:,.1f}", f"{middle:,.0f}", spread, f"{size / cpu:,.0f}",
                     _duration(extrapolate_gb * 1000 / middle),
                     f"{extrapolate_gb * 1000 * cpu / size / 3600:.2f}"])  # fmt: skip
    return Section(
        "Throughput",
        ["The training text from a file to a file of ids, synchronized to the disk: median, and "
         f"range, of {len(rates)} repetitions. CPU seconds are of all threads together.",
         _machine()],
        ["tokenizer", "MB", "MB/s", "range", "MB a CPU second",
         f"{extrapolate_gb:g} GB would take", "CPU hours"],
        rows,
    )  # fmt: skip


def _machine() -> str:
    """What the times were measured on, and with."""
    made = provenance()
    commit = (made["code"]["commit"] or "of no checkout")[:12]
    return (
        f"Measured on {cpu_name()}, {usable_cores()} cores, with Python {made['python']}, regex "
        f"{made['versions']['regex']} and lmlab {made['versions']['lmlab']} ({commit})."
    )


def _phases(outcomes: dict[str, TokenizerResult]) -> Section:
    rows = [
        [label, phase.name, f"{phase.seconds:.2f}", f"{phase.cpu_seconds:.2f}",
         f"{phase.peak_mb:,.0f}"]
        for label, outcome in outcomes.items()
        for phase in outcome.phases
    ]  # fmt: skip
    words = "; ".join(
        f"{label}: {outcome.distinct_words:,} different words of {outcome.word_bytes / 1e6:.1f} MB "
        f"together, no pair rarer than {outcome.floor:,} looked at"
        for label, outcome in outcomes.items()
    )
    return Section(
        "Time and memory by phase",
        ["Each tokenizer in a process of its own. Peak memory is that of the phase, interpreter "
         f"and libraries included. {words}."],
        ["tokenizer", "phase", "seconds", "CPU seconds", "peak MB"],
        rows,
        figure=("phases", figures.phases(outcomes)),
    )  # fmt: skip


def _entries(found: dict[str, Tokenizer]) -> Section:
    blocks = [
        (f"Longest entries of {label}",
         "\n".join(f"{len(entry):>3} bytes  {entry.decode('utf-8', 'replace')!r}"
                   for entry in measures.longest(tokenizer, _LONGEST)))
        for label, tokenizer in found.items()
    ]  # fmt: skip
    return Section(
        "Entries",
        ["How long the learned entries are, and the longest."],
        blocks=blocks,
        figure=("lengths", figures.lengths(found)),
    )


def _overlap(found: dict[str, Tokenizer]) -> Section:
    rows = []
    for (one, first), (two, second) in itertools.combinations(found.items(), 2):
        both, of_first, of_second = measures.shared_entries(first, second)
        merges, same = measures.shared_merges(first, second)
        rows.append([one, two, f"{both:,}", _share(both, of_first), _share(both, of_second),
                     f"{merges:,}", f"{same:,}"])  # fmt: skip
    return Section(
        "What vocabularies share",
        ["Learned entries and merges in both, whatever their place; the last column counts the "
         "merges up to the first that differs."],
        ["one", "two", "entries in both", "of the one", "of the two", "merges in both",
         "same first merges"],
        rows,
    )  # fmt: skip


def _splits(found: dict[str, Tokenizer], strings: Sequence[str]) -> list[list[str]]:
    rows = []
    for string in strings:
        for label, tokenizer in found.items():
            number, parts = measures.split(tokenizer, string)
            rows.append([repr(string)[1:-1], label, str(number), repr(parts)[1:-1]])
    return rows


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if whole else ""


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    minutes = seconds / 60
    return f"{minutes:.0f} min" if minutes < 120 else f"{minutes / 60:.1f} h"
