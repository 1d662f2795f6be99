"""The jobs that :mod:`tokenizer` times: one job of one library, in this process.

python benchmarks/tokenizer_jobs.py LIBRARY JOB SETTINGS.json

Prints one JSON object: the seconds of the work itself, without imports and loading, and, where
libraries must agree on a result, its hash.
"""

from __future__ import annotations

import hashlib
import json
import resource
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

END = "<|endoftext|>"
PATTERN = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
PART_CHARACTERS = 1 << 20

Settings = dict[str, Any]
Job = Callable[[Settings], dict[str, Any]]


def documents(path: str) -> list[str]:
    """The text between special tokens, for trainers that do not support them."""
    return Path(path).read_bytes().decode("utf-8").split(END)


def parts(path: str) -> list[str]:
    """Parts of about a million characters, each starting with a special token."""
    found, part, length = [], [], 0
    for index, document in enumerate(documents(path)):
        part.append(END + document if index else document)
        length += len(document)
        if length >= PART_CHARACTERS:
            found.append("".join(part))
            part, length = [], 0
    return [*found, "".join(part)]


def write(settings: Settings, ids: Iterable[Any]) -> None:
    """Write lists or arrays of ids as a uint16 token file."""
    import numpy as np

    with open(settings["out"], "wb") as file:
        for chunk in ids:
            np.asarray(chunk).astype("<u2").tofile(file)


def vocabulary_hash(entries: Iterable[bytes]) -> str:
    """Hash of the learned entries in order."""
    return hashlib.sha256("\n".join(entry.hex() for entry in entries).encode()).hexdigest()[:16]


class Stopwatch:
    """Measures the seconds since it was created."""

    def __init__(self) -> None:
        self._start = time.perf_counter()

    def read(self) -> dict[str, Any]:
        """The job's result with the seconds so far."""
        return {"seconds": time.perf_counter() - self._start}


def warm(settings: Settings, encode: Callable[[str], Any]) -> dict[str, Any]:
    """The median over a few repetitions after the first, which warms caches.

    Each repetition encodes a new string, created outside the measured time; with ``same_string``
    all encode the same one. The two differ because CPython caches the UTF-8 form of a string once
    it was requested.
    """
    import statistics

    data = Path(settings["text"]).read_bytes()
    text = data.decode("utf-8")
    seconds = []
    for _ in range(settings["repetitions"]):
        if not settings["same_string"]:
            del text
            text = data.decode("utf-8")
        watch = Stopwatch()
        ids = encode(text)
        seconds.append(watch.read()["seconds"])
    write(settings, [ids])
    return {
        "seconds": statistics.median(seconds[1:]),
        "kind": f"{type(ids).__module__}.{type(ids).__name__} of {ids.dtype}",
    }


def lmlab_train(settings: Settings) -> dict[str, Any]:
    """lmlab's trainer."""
    from lmlab.tokenizer import train_bpe

    watch = Stopwatch()
    paths = [settings["text"]] * settings.get("repeat", 1)
    found = train_bpe(paths, settings["vocab_size"], [END])
    return watch.read() | {"made": vocabulary_hash(left + right for left, right in found.merges)}


def lmlab_file(settings: Settings) -> dict[str, Any]:
    """lmlab, file to token file as in a run, synced to disk at the end."""
    from lmlab.data.corpus_encoding import encode_to
    from lmlab.tokenizer import Tokenizer

    tokenizer = Tokenizer.load(settings["gpt2"])
    watch = Stopwatch()
    encode_to(Path(settings["out"]), [Path(settings["text"])], tokenizer, "benchmark")
    return watch.read()


def lmlab_text(settings: Settings) -> dict[str, Any]:
    """lmlab, one text in memory."""
    from lmlab.tokenizer import Tokenizer

    return warm(settings, Tokenizer.load(settings["gpt2"]).encode_array)


def lmlab_line(settings: Settings) -> dict[str, Any]:
    """lmlab: load a tokenizer and encode a line."""
    from lmlab.tokenizer import Tokenizer

    watch = Stopwatch()
    Tokenizer.load(settings["gpt2"]).encode("Once upon a time there was a tokenizer.")
    return watch.read()


def lmlab_kernels(settings: Settings) -> dict[str, Any]:
    """lmlab: load a tokenizer and the kernels, and encode a line with them."""
    from lmlab.tokenizer import Tokenizer

    watch = Stopwatch()
    fast = Tokenizer.load(settings["gpt2"]).encoder.fast(1 << 30)
    assert fast is not None
    fast.encode_array("Once upon a time there was a tokenizer.")
    return watch.read()


def gigatoken_train(settings: Settings) -> dict[str, Any]:
    """gigatoken's trainer."""
    import gigatoken

    watch = Stopwatch()
    source = gigatoken.TextFileSource([settings["text"]], separator=END)
    gigatoken.train_bpe(source, settings["vocab_size"], [END])
    return watch.read()


def _gigatoken(settings: Settings) -> Any:
    import gigatoken

    return gigatoken.Tokenizer.from_tiktoken(
        settings["tiktoken"], pretokenizer="gpt2", special_tokens={END: 50256}
    )


def gigatoken_file(settings: Settings) -> dict[str, Any]:
    """gigatoken's ``encode_files``, written as uint16."""
    import numpy as np

    tokenizer = _gigatoken(settings)
    watch = Stopwatch()
    found = tokenizer.encode_files(settings["text"])
    write(settings, [np.asarray(found.layout.content.data)])
    return watch.read()


def gigatoken_text(settings: Settings) -> dict[str, Any]:
    """gigatoken, one text in memory."""
    return warm(settings, _gigatoken(settings).encode)


def ffbpe_train(settings: Settings) -> dict[str, Any]:
    """ffbpe with lmlab's rule for ties: an oracle."""
    import ffbpe

    watch = Stopwatch()
    counter = ffbpe.PreTokenizer([END], eot_token=END, pat_str=PATTERN)
    words = counter.get_words_from_file(settings["text"])
    trainer = ffbpe.BpeTrainer([END], tie_break="largest_content")
    trainer.add_words(words)
    trainer.train(settings["vocab_size"])
    seconds = watch.read()
    entries = [
        entry if isinstance(entry, bytes) else entry.encode()
        for entry, _ in sorted(trainer.vocab.items(), key=lambda item: item[1])
    ]
    learned = (entry for entry in entries if len(entry) > 1 and entry != END.encode())
    return seconds | {"made": vocabulary_hash(learned)}


def rustbpe_train(settings: Settings) -> dict[str, Any]:
    """rustbpe's trainer."""
    import rustbpe

    watch = Stopwatch()
    texts = iter(documents(settings["text"]))
    rustbpe.Tokenizer().train_from_iterator(texts, settings["vocab_size"] - 1, pattern=PATTERN)
    return watch.read()


def bpeasy_train(settings: Settings) -> dict[str, Any]:
    """bpeasy's trainer."""
    import bpeasy

    watch = Stopwatch()
    bpeasy.train_bpe(iter(documents(settings["text"])), PATTERN, 1024, settings["vocab_size"] - 1)
    return watch.read()


def sentencepiece_train(settings: Settings) -> dict[str, Any]:
    """sentencepiece's BPE on characters: other rules, a similar job."""
    import sentencepiece

    watch = Stopwatch()
    sentencepiece.SentencePieceTrainer.train(
        input=settings["text"],
        model_prefix=settings["out"],
        model_type="bpe",
        vocab_size=settings["vocab_size"],
        byte_fallback=True,
        user_defined_symbols=[END],
        num_threads=settings["threads"],
        max_sentence_length=1 << 20,
        minloglevel=2,
    )
    return watch.read()


def tokenizers_train(settings: Settings) -> dict[str, Any]:
    """Hugging Face's trainer."""
    import tokenizers
    from tokenizers import models, pre_tokenizers, trainers

    watch = Stopwatch()
    tokenizer = tokenizers.Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=settings["vocab_size"],
        special_tokens=[END],
        initial_alphabet=alphabet,
        show_progress=False,
    )
    tokenizer.train_from_iterator(documents(settings["text"]), trainer)
    return watch.read()


def tokenizers_file(settings: Settings) -> dict[str, Any]:
    """Hugging Face's ``encode_batch_fast`` on parts of a file."""
    import tokenizers

    tokenizer = tokenizers.Tokenizer.from_file(settings["tokenizer_json"])
    watch = Stopwatch()
    found = tokenizer.encode_batch_fast(parts(settings["text"]))
    write(settings, (encoding.ids for encoding in found))
    return watch.read()


def tiktoken_encoding(settings: Settings) -> Any:
    """tiktoken's encoder with GPT-2's ranks."""
    import base64  # local: the time of every process includes its imports

    import tiktoken

    lines = Path(settings["tiktoken"]).read_bytes().splitlines()
    ranks = {base64.b64decode(entry): int(rank) for entry, rank in map(bytes.split, lines)}
    return tiktoken.Encoding(
        "gpt2", pat_str=PATTERN, mergeable_ranks=ranks, special_tokens={END: 50256}
    )


def tiktoken_file(settings: Settings) -> dict[str, Any]:
    """tiktoken's ``encode_batch`` on parts of a file."""
    encoding = tiktoken_encoding(settings)
    watch = Stopwatch()
    found = encoding.encode_batch(
        parts(settings["text"]), num_threads=settings["threads"], allowed_special="all"
    )
    write(settings, found)
    return watch.read()


def fastokens_file(settings: Settings) -> dict[str, Any]:
    """fastokens' ``encode_batch_flat`` on parts of a file."""
    import fastokens
    import numpy as np

    tokenizer = fastokens._native.Tokenizer if hasattr(fastokens, "_native") else None
    tokenizer = (tokenizer or fastokens.Tokenizer).from_file(settings["tokenizer_json"])
    watch = Stopwatch()
    ids, _ = tokenizer.encode_batch_flat(parts(settings["text"]))
    write(settings, [np.frombuffer(ids, dtype="<u4")])
    return watch.read()


def main() -> None:
    """Run the job named on the command line."""
    library, job, settings = sys.argv[1:]
    found: Job = globals()[f"{library}_{job}"]
    try:
        result = found(json.loads(Path(settings).read_text()))
    except ModuleNotFoundError as error:
        if error.name != library:
            raise
        print(json.dumps({"missing": True}))
        return
    print(json.dumps(result | {"peak_mb": peak_mb()}))


def peak_mb() -> float:
    """Peak memory of this process; ``getrusage`` would include the parent's."""
    status = Path("/proc/self/status")
    if status.exists():
        (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1e3
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


if __name__ == "__main__":
    main()
