"""A source of ids for a run: files that were encoded before, by lmlab or another program."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from lmlab.console.formatting import format_count
from lmlab.console.progress_bar import progress
from lmlab.data.capped_split import tokens_check
from lmlab.data.corpus import Corpus
from lmlab.data.id_documents import IdDocuments
from lmlab.data.id_shards import part_of
from lmlab.data.id_split import IdSplit, IdTokens
from lmlab.data.id_survey import remembered_ids
from lmlab.data.token_formats.paths import find_token_files
from lmlab.data.token_formats.recognize import recognize
from lmlab.data.token_formats.stored_ids import StoredIds
from lmlab.errors import Check, DataError, check_settings
from lmlab.nn.document_layout import Documents
from lmlab.tokenizer import Tokenizer

log = logging.getLogger(__name__)


class TokenFiles:
    """Token files of lmlab, nanoGPT, llm.c, Megatron, datatrove, OLMo, NumPy, litdata or MDS.

    They stay where they are, and are read through memory mapping; several are one sequence. Where
    other bytes stand between the ids, as in MDS, these are written to the cache once.

    Args:
        cache_dir: where what is known of the ids is kept.
        train: the training ids: a file, a folder, a pattern such as ``shards/*.bin``, or a list of
            these.
        valid: the validation ids; None holds out the tail of ``train``.
        valid_fraction: share of the ids that is held out if ``valid`` is None.
        vocab_size: of the model; it says how wide an id of a raw file is.
        dtype: the type of an id in raw files; None: uint16 where it holds the vocabulary.
        end_id: the id that stands between documents; None: what the format says.
        bytes_per_token: mean UTF-8 bytes of text per id, for bits per byte; None: those of the
            tokenizer's entries, where there is a tokenizer.
        tokens: at most so many training tokens are read, the first ones; None for all.
    """

    has_text = False

    def __init__(
        self,
        cache_dir: Path,
        *,
        train: str | list[str],
        vocab_size: int,
        valid: str | list[str] | None = None,
        valid_fraction: float = 0.01,
        dtype: Literal["uint16", "uint32", "int32"] | None = None,
        end_id: int | None = None,
        bytes_per_token: float | None = None,
        tokens: float | None = None,
    ) -> None:
        self.cache_dir = Path(cache_dir)
        self.values = {"train": train} | ({} if valid is None else {"valid": valid})
        self.valid_fraction, self.vocab_size, self.dtype = valid_fraction, vocab_size, dtype
        self.end_id, self.bytes_per_token, self.tokens = end_id, bytes_per_token, tokens

    def check(self) -> None:
        """Find the files, and check their headers against them.

        Raises:
            ConfigError: a setting is not valid.
            DataError: a file is missing, in both splits, damaged, or of another kind.
        """
        checks = [
            Check("data.valid_fraction", self.valid_fraction, 0 < self.valid_fraction < 1,
                  "more than 0 and less than 1"),
            Check("data.bytes_per_token", self.bytes_per_token,
                  self.bytes_per_token is None or self.bytes_per_token > 0, "more than 0, or null"),
            Check("data.end_id", self.end_id,
                  self.end_id is None or 0 <= self.end_id < self.vocab_size,
                  f"an id below model.vocab_size={self.vocab_size}, or null"),
            tokens_check(self.tokens),
        ]  # fmt: skip
        check_settings(checks)
        files = {split: self._find(split) for split in self.values}
        train, *valid = ({file.shard.path.resolve() for file in one} for one in files.values())
        if valid and (both := train & valid[0]):
            raise DataError(
                f"data.valid={min(map(str, both))}: expected held-out ids, but this file is in "
                "data.train",
                "choose another file, or leave data.valid out to hold out a part of data.train",
            )

    def documents(self, tokenizer: Tokenizer) -> Documents | None:
        """Return which id stands between the training documents, before the ids are read.

        None if none is known: neither ``end_id``, nor the format, nor the tokenizer says it.
        """
        end_id = IdDocuments(self._find("train"), self.end_id).end_id
        end_id = tokenizer.end_of_text_id if end_id is None else end_id
        return None if end_id is None else Documents(end_id)

    def _find(self, split: str) -> list[StoredIds]:
        key = f"data.{split}"
        paths = find_token_files(key, self.values[split], split)
        return [
            recognize(key, path, dtype=self.dtype, vocab_size=self.vocab_size) for path in paths
        ]

    def prepare(self) -> Corpus:
        """Read the ids once, unless they are known, and return both splits.

        Raises:
            TextChangedError: a file changed while it was read.
            DataError: a file cannot be used, or both splits are the same.
        """
        self.check()
        found = {split: self._find(split) for split in self.values}
        name = found["train"][0].shard.path.name.partition(".")[0]
        files = {split: self._unpacked(split, files) for split, files in found.items()}
        if "valid" in files:
            splits = [self._split(split, shards) for split, shards in files.items()]
        else:
            splits = self._hold_out(files["train"])
        train, valid = splits
        if train.hash == valid.hash:
            raise DataError(
                "data.valid: expected held-out ids, but they are those of data.train",
                "choose other files, or leave data.valid out to hold out a part of data.train",
            )
        return Corpus.of_splits(name or "tokens", train, valid).capped(self.tokens)

    def _unpacked(self, split: str, files: Sequence[StoredIds]) -> list[StoredIds]:
        """The files with their ids in a row, which are written to the cache once."""
        number = sum(file.unpack is not None for file in files)
        found = []
        with progress(total=number, desc=f"unpacking data.{split}", unit="file",
                      shown=number > 0) as bar:  # fmt: skip
            for file in files:
                if file.unpack is not None:
                    file = dataclasses.replace(file, shard=file.unpack(self.cache_dir))
                    bar.update(1)
                found.append(file)
        return found

    def _split(self, split: str, files: Sequence[StoredIds]) -> IdSplit:
        documents = IdDocuments(files, self.end_id)
        total = sum(file.shard.num_tokens for file in files)
        found = self._part(split, documents, 0, total)
        _describe(f"data.{split}", documents, found.ids)
        return found

    def _hold_out(self, files: Sequence[StoredIds]) -> list[IdSplit]:
        documents = IdDocuments(files, self.end_id)
        total = sum(file.shard.num_tokens for file in files)
        place, how = documents.cut(total - max(1, round(total * self.valid_fraction)))
        if not 0 < place < total:
            raise DataError(
                f"data.valid_fraction={self.valid_fraction}: {format_count(total, 'id')} are too "
                "few to hold out a part of them",
                "give more ids, another fraction, or set data.valid",
            )
        train = self._part("train", documents, 0, place)
        valid = self._part("train", documents, place, total)
        _describe("data.train", documents, train.ids)
        held_out = total - place
        log.info(
            "data.train: the last %s of %s ids (%.2f %%) are held out for validation, %s",
            f"{held_out:,}", f"{total:,}", 100 * held_out / total, how,
        )  # fmt: skip
        return [train, valid]

    def _part(self, split: str, documents: IdDocuments, start: int, stop: int) -> IdSplit:
        shards = tuple(part_of([file.shard for file in documents.files], start, stop))
        if not shards:
            raise DataError(f"data.{split}: the files hold no ids", "provide some ids")
        made_by = {file.tokenizer_hash for file in documents.files} - {None}
        found = remembered_ids(shards, documents.end_id, self.cache_dir)
        return IdSplit(
            IdTokens(
                shards, found, f"data.{split}", documents.end_id, self.bytes_per_token,
                frozenset(map(str, made_by)), documents.is_before,
            )
        )  # fmt: skip


def _describe(key: str, documents: IdDocuments, ids: IdTokens) -> None:
    forms = sorted({f"{file.form}, {file.shard.dtype}" for file in documents.files})
    log.info(
        "%s: %s in %s (%s)", key, format_count(ids.num_tokens, "token"),
        format_count(len(documents.files), "file"), "; ".join(forms),
    )  # fmt: skip
    log.info("%s", documents.remark(key, ids.survey))
