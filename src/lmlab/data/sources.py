"""Sources of text for a run: the targets of ``conf/data``.

Each source is built from its parameters and the cache folder, can ``check`` its settings at once,
and can ``prepare`` the text.
"""

from __future__ import annotations

import functools
import logging
from pathlib import Path
from typing import Literal

from lmlab.console.progress_bar import progress
from lmlab.data.capped_split import tokens_check
from lmlab.data.corpus import Corpus
from lmlab.data.download import fetch
from lmlab.data.held_out import check_held_out, held_out_line, split
from lmlab.data.near_duplicates import check_near_duplicates, near_duplicates_line
from lmlab.data.text_survey import (
    Survey,
    check_not_equal,
    left_out,
    remembered_survey,
    survey,
    without_boundaries,
)
from lmlab.errors import Check, ConfigError, DataError, check_settings
from lmlab.records.paths import find_files
from lmlab.records.text import DOCUMENT_RULES, Text, is_pipe
from lmlab.storage.content_hash import remembered_hash
from lmlab.storage.io import translate_read_errors
from lmlab.tokenizer.utf8 import read_utf8

log = logging.getLogger(__name__)


class TextFiles:
    """Text of one's own: plain, compressed, JSON lines, Parquet, or a folder of datasets.

    Args:
        cache_dir: where what is known of the text is kept; the text stays where it is.
        train: the training text: a file, a folder, a pattern such as ``text/*.parquet``, or a list
            of these.
        valid: the validation text; None holds out a part of ``train``.
        valid_fraction: of the documents, about that many are held out if ``valid`` is None.
        column: the column of records that holds the text, with dots between nested names.
        documents: what a document of plain text is: ``marker`` (text between ``<|endoftext|>``,
            which is read as it stands), ``blank_line``, ``line`` or ``file``.
        tokens: at most so many training tokens are read, the first ones; None for all.
        near_duplicates: from which Jaccard similarity of word shingles on a held-out document is
            counted that is like one in the training text; None counts exact duplicates alone.
    """

    def __init__(
        self,
        cache_dir: Path,
        *,
        train: str | list[str],
        valid: str | list[str] | None = None,
        valid_fraction: float = 0.01,
        column: str = "text",
        documents: Literal["marker", "blank_line", "line", "file"] = "marker",
        tokens: float | None = None,
        near_duplicates: float | None = None,
    ) -> None:
        self.cache_dir = Path(cache_dir)
        self.train, self.valid, self.valid_fraction = train, valid, valid_fraction
        self.column, self.documents, self.tokens = column, documents, tokens
        self.near_duplicates = near_duplicates

    def check(self) -> None:
        """Find the files and recognize them by their first bytes.

        Raises:
            ConfigError: the fraction or the rule of documents is not valid.
            DataError: a file is missing, empty, in both splits, or recognized and not text.
        """
        self.check_settings()
        self._texts()

    def check_settings(self) -> None:
        """Check what needs no file. Raises :class:`ConfigError`."""
        check_settings(
            [
                Check("data.valid_fraction", self.valid_fraction, 0 < self.valid_fraction < 1,
                      "more than 0 and less than 1"),
                Check("data.documents", self.documents, self.documents in DOCUMENT_RULES,
                      f"one of {', '.join(DOCUMENT_RULES)}"),
                tokens_check(self.tokens),
            ]
        )  # fmt: skip
        check_near_duplicates(self.near_duplicates)

    def _texts(self) -> tuple[Text, Text | None]:
        """The texts of both splits; see :meth:`check`."""
        train = self._find("train", self.train)
        if self.valid is None:
            return train, None
        valid = self._find("valid", self.valid)
        both = {path.resolve() for path in train.paths} & {path.resolve() for path in valid.paths}
        if both:
            raise DataError(
                f"data.valid={sorted(map(str, both))[0]}: expected held-out text, but this file is "
                "in data.train",
                "choose another file, or leave data.valid out to hold out a part of data.train: a "
                "loss on training text does not measure generalization",
            )
        return train, valid

    def _find(self, split: str, value: str | list[str]) -> Text:
        key = f"data.{split}"
        paths = find_files(key, value, split=split)
        for path in paths:
            _check_file(key, path)
        rules = Text((), column=self.column, documents=self.documents, key=key)
        return rules.with_files(paths)

    def prepare(self) -> Corpus:
        """Read the text once, unless it is known, and return both splits.

        Raises:
            DataError: a text cannot be read or is not UTF-8, or both splits are the same.
        """
        self.check_settings()
        train, valid = self._texts()
        name = train.paths[0].name.partition(".")[0] or "text"
        if valid is None:
            train, valid, how = split(train, self.valid_fraction)
            first, second = (
                remembered_survey(text, self.cache_dir, functools.partial(survey, text))
                for text in (train, valid)
            )
            check_held_out(first, second, self.valid_fraction)
            log.info(held_out_line(train.key, first, second, how))
        else:
            first, second = self._compare(train, valid)
        for line in (
            *without_boundaries(train, first), *left_out(train, first), *left_out(valid, second),
        ):  # fmt: skip
            log.info(line)
        if self.near_duplicates is not None:
            number, line = near_duplicates_line(
                train, valid, (first, second), self.near_duplicates, self.cache_dir
            )
            log.log(logging.WARNING if number else logging.INFO, line)
        corpus = Corpus(name, train, valid, train_hash=first.text_hash, valid_hash=second.text_hash)
        return corpus.capped(self.tokens)

    def _compare(self, train: Text, valid: Text) -> tuple[Survey, Survey]:
        """The surveys of both splits; the documents that are in both are told."""
        documents: set[bytes] = set()
        read_valid = functools.partial(survey, valid, collect=documents)
        held_out = remembered_survey(valid, self.cache_dir, read_valid)

        def read_train() -> Survey:
            if not documents:  # the survey of the held-out text was known
                read_valid()
            return survey(train, known=documents)

        found = remembered_survey(train, self.cache_dir, read_train, against=held_out.text_hash)
        check_not_equal(found, held_out)
        if found.num_known:
            share = found.num_known / max(1, held_out.num_documents)
            log.warning(
                "data.valid: %s of %s documents (%.2g %%) are in data.train too, where the loss "
                "does not measure generalization",
                f"{found.num_known:,}", f"{held_out.num_documents:,}", 100 * share,
            )  # fmt: skip
        return found, held_out


class Downloaded:
    """Two files from a server, downloaded once to the cache.

    Args:
        cache_dir: where downloads are kept.
        name: name of the corpus, and of its folder in the cache.
        base_url: folder on the server.
        train: name of the training file there.
        valid: name of the validation file there.
        train_sha256: expected hash of the training file; None accepts and records any.
        valid_sha256: expected hash of the validation file; None accepts and records any.
        tokens: at most so many training tokens are read, the first ones; None for all.
    """

    def __init__(
        self,
        cache_dir: Path,
        *,
        name: str,
        base_url: str,
        train: str,
        valid: str,
        train_sha256: str | None = None,
        valid_sha256: str | None = None,
        tokens: float | None = None,
    ) -> None:
        self.folder = Path(cache_dir) / "downloads" / name
        self.name = name
        self.base_url = base_url.rstrip("/")
        self.files = {train: train_sha256, valid: valid_sha256}
        self.tokens = tokens

    def check(self) -> None:
        """Check the address. Raises :class:`ConfigError` unless it is HTTP or HTTPS."""
        check_settings([tokens_check(self.tokens)])
        if not self.base_url.startswith(("http://", "https://")):
            raise ConfigError(f"data.base_url={self.base_url}: expected an http or https address")
        if len(set(map(self._target, self.files))) < 2:
            raise ConfigError(
                f"data.valid={list(self.files)[-1]}: expected a file other than data.train"
            )

    def prepare(self) -> Corpus:
        """Download missing files. Raises :class:`DataError` without network."""
        self.check()
        paths = []
        for file, sha256 in self.files.items():
            target = self._target(file)
            is_new = not target.exists()
            paths.append(fetch(f"{self.base_url}/{file}", target, sha256=sha256))
            if is_new:
                check_utf8(target)
        corpus = Corpus(self.name, paths[:1], paths[1:], hash_of=remembered_hash)
        return corpus.capped(self.tokens)

    def _target(self, file: str) -> Path:
        return self.folder / file.removesuffix(".gz")


class ToyStories:
    """Short stories from a grammar; see :mod:`lmlab.data.toystories`.

    Args:
        cache_dir: where the text is kept.
        num_train_documents: number of stories for training.
        num_valid_documents: number of stories for validation, distinct from those for training.
        seed: seed of the random stories.
        tokens: at most so many training tokens are read, the first ones; None for all.
    """

    def __init__(
        self,
        cache_dir: Path,
        *,
        num_train_documents: int,
        num_valid_documents: int,
        seed: int,
        tokens: float | None = None,
    ) -> None:
        self.cache_dir = Path(cache_dir)
        self.num_train_documents = num_train_documents
        self.num_valid_documents = num_valid_documents
        self.seed, self.tokens = seed, tokens

    def check(self) -> None:
        """Check the numbers. Raises :class:`ConfigError`."""
        sizes = {
            "data.num_train_documents": self.num_train_documents,
            "data.num_valid_documents": self.num_valid_documents,
        }
        counts = [Check(key, size, size >= 1, "1 or more") for key, size in sizes.items()]
        check_settings([*counts, tokens_check(self.tokens)])

    def prepare(self) -> Corpus:
        """Write the stories, or reuse those written before."""
        from lmlab.data.toystories import write_corpus

        self.check()
        corpus = write_corpus(
            self.cache_dir,
            num_train=self.num_train_documents,
            num_valid=self.num_valid_documents,
            seed=self.seed,
        )
        return corpus.capped(self.tokens)


def check_utf8(path: Path) -> None:
    """Read a full file. Raises :class:`DataError` with the offset of the first malformed byte."""
    size = path.stat().st_size
    with progress(total=size, desc="checking text", unit="B", unit_scale=True) as bar:
        for _ in read_utf8(path, bar.update):
            pass


def _check_file(key: str, path: Path) -> None:
    if is_pipe(path):
        raise DataError(
            f"{key}={path}: expected a file, found a pipe, which can be read only once",
            "write the text to a file",
        )
    with translate_read_errors(f"{key}={path}"), open(path, "rb") as file:
        if not file.read(1):
            raise DataError(f"{key}={path}: the file is empty", "provide some text")
