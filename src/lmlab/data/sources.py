"""Where a run's text comes from: the targets of ``conf/data``.

Each source is made with its knobs and the cache folder, can ``check`` its settings at once, and
can ``prepare`` the text.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path

from lmlab.console.progress_bar import progress
from lmlab.data.corpus import Corpus
from lmlab.data.download import fetch
from lmlab.errors import ConfigError, DataError
from lmlab.storage.io import translate_read_errors
from lmlab.tokenizer.utf8 import read_utf8


class TextFiles:
    """Any UTF-8 text files.

    Args:
        cache_dir: not used: the text stays where it is.
        train: the training text, one path or several.
        valid: the validation text, one path or several.
    """

    def __init__(self, cache_dir: Path, *, train: str | list[str], valid: str | list[str]) -> None:
        del cache_dir
        self.train = [Path(path) for path in ([train] if isinstance(train, str) else train)]
        self.valid = [Path(path) for path in ([valid] if isinstance(valid, str) else valid)]

    def check(self) -> None:
        """Look at the files without reading them.

        Raises:
            DataError: a file is missing, empty, or in both splits.
        """
        for key, paths in (("data.train", self.train), ("data.valid", self.valid)):
            if not paths:
                raise DataError(f"{key}=[]: accepted is a text file, or a list of them")
            for path in paths:
                _check_file(key, path)
        both = {path.resolve() for path in self.train} & {path.resolve() for path in self.valid}
        if both:
            raise DataError(
                f"data.valid={sorted(map(str, both))[0]} is training text too: "
                "a loss measured on it says nothing; give a held-out file"
            )

    def prepare(self) -> Corpus:
        """Return the files. Raises :class:`DataError` where one is not UTF-8."""
        self.check()
        for path in [*self.train, *self.valid]:
            check_utf8(path)
        return Corpus(self.train[0].stem, self.train, self.valid)


class Downloaded:
    """Two files from a server, fetched once into the cache.

    Args:
        cache_dir: where downloads are kept.
        name: of the corpus and its folder.
        base_url: folder on the server.
        train: name of the training file there.
        valid: name of the validation file there.
        train_sha256: expected hash of the training file; None accepts and records any.
        valid_sha256: expected hash of the validation file.
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
    ) -> None:
        self.folder = Path(cache_dir) / "downloads" / name
        self.name = name
        self.base_url = base_url.rstrip("/")
        self.files = {train: train_sha256, valid: valid_sha256}

    def check(self) -> None:
        """Look at the address. Raises :class:`ConfigError` for one that is not HTTP."""
        if not self.base_url.startswith(("http://", "https://")):
            raise ConfigError(f"data.base_url={self.base_url}: accepted is an http(s) address")
        if len(self.files) < 2:
            raise ConfigError(f"data.valid={next(iter(self.files))}: it is the training file too")

    def prepare(self) -> Corpus:
        """Fetch what is missing. Raises :class:`DataError` without network."""
        self.check()
        paths = []
        for file, sha256 in self.files.items():
            target = self.folder / file.removesuffix(".gz")
            is_new = not target.exists()
            paths.append(fetch(f"{self.base_url}/{file}", target, sha256=sha256))
            if is_new:
                check_utf8(target)
        return Corpus(self.name, paths[:1], paths[1:])


class ToyStories:
    """Small stories that the project makes itself; see :mod:`lmlab.data.toystories`.

    Args:
        cache_dir: where the text is kept.
        num_train_documents: stories to train on.
        num_valid_documents: stories to validate on, none of them among the former.
        seed: of the stories.
    """

    def __init__(
        self, cache_dir: Path, *, num_train_documents: int, num_valid_documents: int, seed: int
    ) -> None:
        self.cache_dir = Path(cache_dir)
        self.num_train_documents = num_train_documents
        self.num_valid_documents = num_valid_documents
        self.seed = seed

    def check(self) -> None:
        """Look at the numbers. Raises :class:`ConfigError`."""
        for key in ("num_train_documents", "num_valid_documents"):
            if getattr(self, key) < 1:
                raise ConfigError(f"data.{key}={getattr(self, key)}: accepted is 1 or more")

    def prepare(self) -> Corpus:
        """Write the stories, or find them written."""
        from lmlab.data.toystories import write_corpus

        self.check()
        return write_corpus(
            self.cache_dir,
            num_train=self.num_train_documents,
            num_valid=self.num_valid_documents,
            seed=self.seed,
        )


def check_utf8(path: Path) -> None:
    """Read a file through. Raises :class:`DataError` naming the offset of the first bad byte."""
    size = path.stat().st_size
    with progress(total=size, desc="checking text", unit="B", unit_scale=True) as bar:
        for _ in read_utf8(path, bar.update):
            pass


def _check_file(key: str, path: Path) -> None:
    if path.is_dir():
        raise DataError(f"{key}={path} is a folder: name the text file in it")
    if not path.is_file():
        raise DataError(f"{key}={path}: there is no such file{_nearest(path)}")
    with translate_read_errors(f"{key}={path}"), open(path, "rb") as file:
        if not file.read(1):
            raise DataError(f"{key}={path} is empty: give some text")


def _nearest(path: Path) -> str:
    if not path.parent.is_dir():
        return f" (nor its folder {path.parent})"
    names: Sequence[str] = [other.name for other in path.parent.iterdir()]
    near = difflib.get_close_matches(path.name, names, n=1)
    return f'; did you mean "{path.parent / near[0]}"?' if near else ""
