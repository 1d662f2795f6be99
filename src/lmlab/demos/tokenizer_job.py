"""One tokenizer of the study, trained and used in a process of its own, phase by phase.

``python -m lmlab.demos.tokenizer_job TEXT VOCAB_SIZE FOLDER`` saves the tokenizer to FOLDER and
prints, as JSON, what each phase took. In a process of its own, so that memory is that of this work
alone.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from lmlab.errors import DataError
from lmlab.tokenizer import bpe_training
from lmlab.tokenizer.kernels.kinds import GPT2_PATTERN
from lmlab.tokenizer.word_counts import Merge

_CLEAR, _STATUS = Path("/proc/self/clear_refs"), Path("/proc/self/status")
_ENCODINGS = 3


@dataclasses.dataclass(frozen=True)
class Phase:
    """What a part of the work took.

    Attributes:
        name: of the part.
        seconds: wall time.
        cpu_seconds: of all threads together.
        peak_mb: most memory held during it, the process's own included (MB = 10^6 bytes).
    """

    name: str
    seconds: float
    cpu_seconds: float
    peak_mb: float


@dataclasses.dataclass(frozen=True)
class TokenizerResult:
    """What training and encoding one text took.

    Attributes:
        phases: in order.
        text_bytes: of the training text.
        distinct_words: different pre-tokens of two bytes or more.
        word_bytes: of these together.
        floor: count below which a pair cannot be among the merges.
        encoding_mb_per_s: of each repetition of encoding the training text to a file.
    """

    phases: list[Phase]
    text_bytes: int
    distinct_words: int
    word_bytes: int
    floor: int
    encoding_mb_per_s: list[float]


def measure(text: Path, vocab_size: int, folder: Path) -> TokenizerResult:
    """Train and encode in a process of its own; the tokenizer lies in ``folder`` then.

    Raises:
        DataError: the process failed; what it said is told.
    """
    words = [sys.executable, "-m", __name__, str(text), str(vocab_size), str(folder)]
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:] or ["it was killed"]
        raise DataError(f"training a tokenizer on {text} failed: {last[0]}")
    found = json.loads(done.stdout)
    return TokenizerResult(**{**found, "phases": [Phase(**phase) for phase in found["phases"]]})


class _Phases:
    """Phases one after the other."""

    def __init__(self) -> None:
        self.all: list[Phase] = []
        self._start()

    def _start(self) -> None:
        with contextlib.suppress(OSError):  # elsewhere the peak is that since the process began
            _CLEAR.write_text("5")  # Linux forgets the peak
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
    """Do the work in this process; the values of an :class:`TokenizerResult`."""
    from lmlab.data.token_file import write_token_file
    from lmlab.tokenizer.merge_learner import min_pair_count
    from lmlab.tokenizer.tokenizer import END_OF_TEXT

    specials = [END_OF_TEXT]
    num_merges = bpe_training.check_sizes(vocab_size, specials)
    phases = _Phases()
    words = bpe_training.count_words([text], specials)
    phases.end("counting words")
    distinct, word_bytes = len(words), len(words.data) - len(words) - 1
    least = min_pair_count(words.counts, num_merges) if num_merges else 0
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
            write_token_file([text], tokenizer, Path(temporary) / f"{number}.bin", "study")
            encodings.append(phases.end("encoding the text to a file"))
            rates.append(size / 1e6 / encodings[-1].seconds)
    middle = statistics.median_low([phase.seconds for phase in encodings])
    kept = phases.all[:-_ENCODINGS] + [phase for phase in encodings if phase.seconds == middle][:1]
    return {
        "phases": [dataclasses.asdict(phase) for phase in kept],
        "text_bytes": size,
        "distinct_words": distinct,
        "word_bytes": word_bytes,
        "floor": least,
        "encoding_mb_per_s": rates,
    }


if __name__ == "__main__":
    _text, _size, _folder = sys.argv[1:]
    json.dump(run(Path(_text), int(_size), Path(_folder)), sys.stdout)
