"""The data of a run: its corpus, its tokenizer, and the ids of both splits."""

from __future__ import annotations

import dataclasses
import functools
import logging
from pathlib import Path
from typing import Any

from lmlab.build.instantiate import BoundTarget
from lmlab.config.shared_parameters import CROSS, DOCUMENT
from lmlab.data.corpus import Corpus
from lmlab.data.document_parts import check_documents, find_documents
from lmlab.data.mixed_floor import floor_of
from lmlab.data.split import SplitTokens
from lmlab.errors import ConfigError, TextChangedError
from lmlab.nn.document_layout import Documents
from lmlab.records.text import Text
from lmlab.tasks.probes import Probes, load_probes
from lmlab.tasks.task import Task, TaskSource
from lmlab.tokenizer import Tokenizer

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class DataSpec:
    """Which data a run reads, resolved from its configuration.

    Attributes:
        source: makes the text source, given ``cache_dir``.
        tokenizer: makes the tokenizer, given the corpus.
        cache_folder: where corpora, tokenizers and token files are kept.
        vocab_size: of the model; the tokenizer must have as many entries.
        context_length: of the model, in tokens; each split must hold at least one window.
        tasks: on which the model is scored.
        probe_items: items of each probe, where the text has probes.
        windows: whether attention crosses documents: ``cross`` or ``document``.
    """

    source: BoundTarget
    tokenizer: BoundTarget
    cache_folder: Path
    vocab_size: int
    context_length: int
    tasks: tuple[TaskSource, ...] = ()
    probe_items: int = 0
    windows: str = CROSS


@dataclasses.dataclass(frozen=True)
class RunData:
    """The data of a run: its corpus, its tokenizer, the ids of both splits, and its tasks.

    Attributes:
        probe_items: items of each probe.
        context_length: of the model, in tokens.
        documents: what attention must not cross; None where it sees windows as one text.
    """

    corpus: Corpus
    tokenizer: Tokenizer
    train: SplitTokens
    valid: SplitTokens
    tasks: tuple[Task, ...] = ()
    probe_items: int = 0
    context_length: int = 0
    documents: Documents | None = None

    @functools.cached_property
    def probes(self) -> Probes:
        """The probes that the corpus offers, by the optional method ``probe_items(num_items)``.

        It returns items by the name of their probe; see
        :meth:`lmlab.data.toystories.StoryCorpus.probe_items`. They are found when they are first
        needed, since a process that only plans runs does not need them.
        """
        if not self.probe_items or not hasattr(self.corpus, "probe_items"):
            return Probes()
        items = self.corpus.probe_items(self.probe_items)
        return load_probes(items, self.tokenizer, self.context_length)

    def floor(self) -> dict[str, Any] | None:
        """Return the exact entropy of the validation text; None where it is not known."""
        return floor_of(self.corpus, self.valid)


def check_source(spec: DataSpec) -> None:
    """Check the data settings without reading the text, and the files of tasks.

    Raises:
        DataError: a file is missing, or cannot be used.
        ConfigError: documents are to be separated, and no id is known to stand between them.
    """
    source = spec.source(cache_dir=spec.cache_folder)
    source.check()
    if not getattr(source, "has_text", True):  # a tokenizer that must be trained refuses
        tokenizer = spec.tokenizer(text=Text(()), cache_dir=spec.cache_folder, corpus_hash="")
        if spec.windows == DOCUMENT and hasattr(source, "documents"):
            check_documents(source.documents(tokenizer))
    elif spec.windows == DOCUMENT and not spec.tokenizer.parameters.get("special_tokens", True):
        check_documents(None)
    for task in spec.tasks:
        task.check()


def prepare_data(spec: DataSpec) -> RunData:
    """Prepare the corpus, the tokenizer and the token files, or reuse cached ones.

    A text that changes meanwhile is prepared once more from the beginning.

    Raises:
        TextChangedError: the text keeps changing.
        DataError: the text cannot be used.
        ConfigError: the vocabulary sizes of tokenizer and model differ.
    """
    try:
        return _prepare(spec)
    except TextChangedError as error:
        log.warning("%s; starting over", error.message)
        return _prepare(spec)


def _prepare(spec: DataSpec) -> RunData:
    cache = spec.cache_folder
    corpus: Corpus = spec.source(cache_dir=cache).prepare()
    tokenizer: Tokenizer = spec.tokenizer(
        text=corpus.train, cache_dir=cache, corpus_hash=corpus.train_text_hash
    )
    if tokenizer.vocab_size != spec.vocab_size:
        raise ConfigError(
            f"model.vocab_size={spec.vocab_size}: expected {tokenizer.vocab_size}, the size of the "
            "tokenizer's vocabulary",
            f"set model.vocab_size={tokenizer.vocab_size}",
        )
    splits = {}
    for name, split in corpus.splits.items():
        splits[name] = split.encode(tokenizer, cache, name=name)
        splits[name].check(tokenizer.hash, spec.context_length, tokenizer.vocab_size)
    documents = None
    if spec.windows == DOCUMENT:
        documents = find_documents(
            splits["train"], splits["valid"], tokenizer, text_hash=corpus.train_hash,
            context_length=spec.context_length, cache_dir=cache,
        )  # fmt: skip
    tasks = tuple(source.load(tokenizer, spec.context_length) for source in spec.tasks)
    return RunData(
        corpus, tokenizer, splits["train"], splits["valid"], tasks, spec.probe_items,
        spec.context_length, documents,
    )  # fmt: skip
