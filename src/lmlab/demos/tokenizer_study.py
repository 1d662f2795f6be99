"""How training text and vocabulary size affect a tokenizer: compression, speed, memory, entries."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lmlab.console.formatting import format_count, format_duration
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
        config: the configuration, whose seed samples the documents. The tokenizers are saved next
            to the report.
        texts: training texts: UTF-8 files with end-of-text tokens between documents.
        heldout: texts to measure compression on, one per training text; empty: the training texts.
        vocab_sizes: sizes of the vocabularies.
        documents: number of documents sampled from each text.
        extrapolate_gb: size of a text whose encoding time is extrapolated, in GB (10^9 bytes).
        strings: strings whose tokens are shown.

    Raises:
        ConfigError: there is no text, or the number of held-out texts differs.
        DataError: a text cannot be read.
    """
    training, evaluated = _paths(texts, heldout)
    names = [path.stem for path in training]
    for group in ("counting", "merges", "encoding"):
        load(group)  # compile before anything is measured
    folder = Path(config.output_root) / config.study / "tokenizers"
    outcomes: dict[str, TokenizerResult] = {}
    tokenizers: dict[str, Tokenizer] = {}
    for (name, path), size in itertools.product(zip(names, training, strict=True), vocab_sizes):
        label = f"{name} {size:,}"
        make_folder(folder / f"{name}-{size}")
        outcomes[label] = measure(path, size, folder / f"{name}-{size}")
        tokenizers[label] = Tokenizer.load(folder / f"{name}-{size}")
    samples = {
        name: measures.sample_documents(path, documents, config.seed)
        for name, path in zip(names, evaluated, strict=True)
    }
    compression = {
        label: {
            name: measures.bytes_per_token(tokenizer, some, config.seed)
            for name, some in samples.items()
        }
        for label, tokenizer in tokenizers.items()
    }
    return Demo(
        title="tokenizer",
        question="How do training text and vocabulary size affect a tokenizer?",
        sections=[
            _compression(compression, samples, bool(heldout)),
            _speed(outcomes, extrapolate_gb),
            _phases(outcomes),
            _entries(tokenizers),
            _overlap(tokenizers),
            Section("How strings split", ["Bars separate tokens; <e2> is a byte of an incomplete "
                "character."], ["string", "tokenizer", "tokens", "split"],
                _splits(tokenizers, strings)),
        ],
        limits=[
            "Fewer tokens do not mean a better model: compare models in bits per byte.",
            "The intervals hold for documents of these texts, not for other texts.",
            "Seconds depend on the machine and its load; CPU seconds depend less on the load.",
            "The extrapolation assumes constant rates and a disk as fast as memory.",
        ],
    )  # fmt: skip


def _paths(texts: Sequence[str], heldout: Sequence[str]) -> tuple[list[Path], list[Path]]:
    if not texts:
        raise ConfigError(
            "demo.texts=[]: expected text files",
            "set for example 'demo.texts=[childrens.txt,books.txt]'",
        )
    if heldout and len(heldout) != len(texts):
        raise ConfigError(
            f"demo.heldout={list(heldout)}: expected {format_count(len(texts), 'file')}, one per "
            "file of demo.texts, or none"
        )
    training = [Path(text) for text in texts]
    evaluated = [Path(text) for text in heldout] or training
    for path in [*training, *evaluated]:
        if not path.is_file():
            key = "texts" if path in training else "heldout"
            raise ConfigError(f"demo.{key}={path}: no such file")
    if len({path.stem for path in training}) < len(training):
        raise ConfigError("demo.texts: expected files of different names")
    return training, evaluated


def _compression(
    compression: dict[str, dict[str, Estimate]], samples: dict[str, list[str]], heldout: bool
) -> Section:
    counts = ", ".join(f"{len(some)} of {name}" for name, some in samples.items())
    source = "held-out text" if heldout else "the training text itself"
    rows = [[label, *(str(row[name]) for name in samples)] for label, row in compression.items()]
    return Section(
        "Compression in and out of domain",
        [f"Bytes per token on documents sampled from {source} ({counts}), with 95% bootstrap "
         "intervals over documents. Each tokenizer is named after its training text."],
        ["tokenizer", *(f"on {name}" for name in samples)],
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
                     format_duration(extrapolate_gb * 1000 / middle),
                     f"{extrapolate_gb * 1000 * cpu / size / 3600:.2f}"])  # fmt: skip
    return Section(
        "Throughput",
        ["Encoding the training text from a file to a file of ids, synchronized to disk: median "
         f"and range of {len(rates)} repetitions. CPU seconds are summed over threads.",
         _machine()],
        ["tokenizer", "MB", "MB/s", "range", "MB per CPU second",
         f"{extrapolate_gb:g} GB would take", "CPU hours"],
        rows,
    )  # fmt: skip


def _machine() -> str:
    """Describe the machine and the versions of the measurement."""
    made = provenance()
    commit = (made["code"]["commit"] or "no checkout")[:12]
    return (
        f"Measured on {cpu_name()}, {format_count(usable_cores(), 'core')}, with Python "
        f"{made['python']}, regex {made['versions']['regex']} and lmlab "
        f"{made['versions']['lmlab']} ({commit})."
    )


def _phases(outcomes: dict[str, TokenizerResult]) -> Section:
    rows = [
        [label, phase.name, f"{phase.seconds:.2f}", f"{phase.cpu_seconds:.2f}",
         f"{phase.peak_mb:,.0f}"]
        for label, outcome in outcomes.items()
        for phase in outcome.phases
    ]  # fmt: skip
    words = "; ".join(
        f"{label}: {outcome.distinct_words:,} distinct words of {outcome.word_bytes / 1e6:.1f} MB "
        f"in total, pairs rarer than {outcome.floor:,} ignored"
        for label, outcome in outcomes.items()
    )
    return Section(
        "Time and memory by phase",
        ["Each tokenizer runs in a separate process. Peak memory is that of the phase, including "
         f"interpreter and libraries. {words}."],
        ["tokenizer", "phase", "seconds", "CPU seconds", "peak MB"],
        rows,
        figure=("phases", figures.phases(outcomes)),
    )  # fmt: skip


def _entries(tokenizers: dict[str, Tokenizer]) -> Section:
    blocks = [
        (f"Longest entries of {label}",
         "\n".join(f"{len(entry):>3} bytes  {entry.decode('utf-8', 'replace')!r}"
                   for entry in measures.longest(tokenizer, _LONGEST)))
        for label, tokenizer in tokenizers.items()
    ]  # fmt: skip
    return Section(
        "Entries",
        ["Lengths of the learned entries, and the longest ones."],
        blocks=blocks,
        figure=("lengths", figures.lengths(tokenizers)),
    )


def _overlap(tokenizers: dict[str, Tokenizer]) -> Section:
    rows = []
    for (one, first), (two, second) in itertools.combinations(tokenizers.items(), 2):
        both, of_first, of_second = measures.shared_entries(first, second)
        merges, same = measures.shared_merges(first, second)
        rows.append([one, two, f"{both:,}", _share(both, of_first), _share(both, of_second),
                     f"{merges:,}", f"{same:,}"])  # fmt: skip
    return Section(
        "Overlap of vocabularies",
        ["Learned entries and merges in both, in any order; the last column counts the merges "
         "before the first difference."],
        ["first", "second", "entries in both", "of the first", "of the second", "merges in both",
         "common first merges"],
        rows,
    )  # fmt: skip


def _splits(tokenizers: dict[str, Tokenizer], strings: Sequence[str]) -> list[list[str]]:
    rows = []
    for string in strings:
        for label, tokenizer in tokenizers.items():
            number, parts = measures.split(tokenizer, string)
            rows.append([repr(string)[1:-1], label, str(number), repr(parts)[1:-1]])
    return rows


def _share(part: int, total: int) -> str:
    return f"{part / total:.1%}" if total else ""
