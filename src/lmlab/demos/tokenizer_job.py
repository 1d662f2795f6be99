"""Train and apply one tokenizer of the study in a separate process, and measure each phase.

``python -m lmlab.demos.tokenizer_job TEXT VOCAB_SIZE FOLDER`` saves the tokenizer to FOLDER and
prints the cost of each phase as JSON. The separate process measures the memory of this work alone.
"""

from __future__ import annotations

import contextlib
import dataclasses
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from lmlab.errors import DataError
from lmlab.storage.json_text import dump_json, load_json
from lmlab.tokenizer import bpe_training
from lmlab.tokenizer.kernels.kinds import GPT2_PATTERN
from lmlab.tokenizer.word_counts import Merge

_CLEAR, _STATUS = Path("/proc/self/clear_refs"), Path("/proc/self/status")
_ENCODINGS = 3


@dataclasses.dataclass(frozen=True)
class Phase:
    """The cost of one phase.

    Attributes:
        name: name of the phase.
        seconds: wall time.
        cpu_seconds: CPU time, summed over threads.
        peak_mb: peak memory of the process during the phase (MB = 10^6 bytes).
    """

    name: str
    seconds: float
    cpu_seconds: float
    peak_mb: float


@dataclasses.dataclass(frozen=True)
class TokenizerResult:
    """The cost of training a tokenizer on a text and encoding it.

    Attributes:
        phases: the phases, in order.
        text_bytes: size of the training text.
        distinct_words: number of distinct pre-tokens of two bytes or more.
        word_bytes: total size of the distinct pre-tokens.
        floor: count below which a pair cannot become a merge.
        encoding_mb_per_s: throughput of each repetition of encoding the text to a file.
    """

    phases: list[Phase]
    text_bytes: int
    distinct_words: int
    word_bytes: int
    floor: int
    encoding_mb_per_s: list[float]


def measure(text: Path, vocab_size: int, folder: Path) -> TokenizerResult:
    """Train and encode in a separate process, which saves the tokenizer to ``folder``.

    Raises:
        DataError: the process failed; the message ends with its last line of output.
    """
    command = [sys.executable, "-m", __name__, str(text), str(vocab_size), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:] or ["the process was killed"]
        raise DataError(f"training a tokenizer on {text} failed: {last[0]}")
    found = load_json(done.stdout)
    return TokenizerResult(**{**found, "phases": [Phase(**phase) for phase in found["phases"]]})


class _Phases:
    """Measures consecutive phases."""

    def __init__(self) -> None:
        self.all: list[Phase] = []
        self._start()

    def _start(self) -> None:
        with contextlib.suppress(OSError):  # without Linux, the peak is that of the whole process
            _CLEAR.write_text("5")  # resets the peak
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def end(self, name: str) -> Phase:
        wall, cpu = time.perf_counter() - self._wall, time.process_time() - self._cpu
        self.all.append(Phase(name, wall, cpu, _peak_bytes() / 1e6))
        self._start()
        return self.all[-1]


def _peak_bytes() -> int:
    try:
        lines = _STATUS.read_text().splitlines()
        return 1024 * int(next(line.split()[1] for line in lines if line.startswith("VmHWM")))
    except OSError:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else 1024 * peak


def run(text: Path, vocab_size: int, folder: Path) -> dict[str, Any]:
    """Train and encode in this process; return the values of a :class:`TokenizerResult`."""
    from lmlab.data.token_file import write_token_file
    from lmlab.tokenizer.merge_learner import min_pair_count
    from lmlab.tokenizer.tokenizer import END_OF_TEXT

    specials = [END_OF_TEXT]
    num_merges = bpe_training.check_sizes(vocab_size, specials)
    phases = _Phases()
    words = bpe_training.count_words([text], specials)
    phases.end("counting words")
    distinct, word_bytes = len(words), len(words.data) - len(words) - 1
    floor = min_pair_count(words.counts, num_merges) if num_merges else 0
    merges: list[Merge] = bpe_training.learn_merges(words, num_merges)
    phases.end("learning merges")
    del words
    tokenizer = bpe_training.build_tokenizer(merges, vocab_size, specials, GPT2_PATTERN)
    tokenizer.save(folder)
    phases.end("saving")
    size = text.stat().st_size
    rates = []
    encodings: list[Phase] = []
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        for number in range(_ENCODINGS):
            write_token_file([text], tokenizer, Path(temporary) / f"{number}.bin")
            encodings.append(phases.end("encoding the text to a file"))
            rates.append(size / 1e6 / encodings[-1].seconds)
    middle = statistics.median_low([phase.seconds for phase in encodings])
    measured = (
        phases.all[:-_ENCODINGS] + [phase for phase in encodings if phase.seconds == middle][:1]
    )
    return {
        "phases": [dataclasses.asdict(phase) for phase in measured],
        "text_bytes": size,
        "distinct_words": distinct,
        "word_bytes": word_bytes,
        "floor": floor,
        "encoding_mb_per_s": rates,
    }


if __name__ == "__main__":
    text, vocab_size, folder = sys.argv[1:]
    sys.stdout.write(dump_json(run(Path(text), int(vocab_size), Path(folder))))
