"""Sources of text for a run: the targets of ``conf/data``.

Each source is built from its parameters and the cache folder, can ``check`` its settings at once,
and can ``prepare`` the text.
"""

from __future__ import annotations

from pathlib import Path

from lmlab.console.progress_bar import progress
from lmlab.data.corpus import Corpus
from lmlab.data.download import fetch
from lmlab.errors import Check, ConfigError, DataError, check_settings, suggestion
from lmlab.storage.content_hash import remembered_hash
from lmlab.storage.io import translate_read_errors
from lmlab.tokenizer.utf8 import read_utf8


class TextFiles:
    """UTF-8 text files.

    Args:
        cache_dir: not used; the text stays where it is.
        train: the training text, one path or several.
        valid: the validation text, one path or several.
    """

    def __init__(self, cache_dir: Path, *, train: str | list[str], valid: str | list[str]) -> None:
        del cache_dir
        self.train = [Path(path) for path in ([train] if isinstance(train, str) else train)]
        self.valid = [Path(path) for path in ([valid] if isinstance(valid, str) else valid)]

    def check(self) -> None:
        """Check the files without reading them.

        Raises:
            DataError: a file is missing, empty, or in both splits.
        """
        for key, paths in (("data.train", self.train), ("data.valid", self.valid)):
            if not paths:
                raise DataError(f"{key}=[]: expected a text file, or a list of text files")
            for path in paths:
                _check_file(key, path)
        both = {path.resolve() for path in self.train} & {path.resolve() for path in self.valid}
        if both:
            raise DataError(
                f"data.valid={sorted(map(str, both))[0]}: expected held-out text, but this file is "
                "in data.train",
                "choose another file: a loss on training text does not measure generalization",
            )

    def prepare(self) -> Corpus:
        """Return the files. Raises :class:`DataError` if one is not UTF-8."""
        self.check()
        for path in [*self.train, *self.valid]:
            check_utf8(path)
        return Corpus(self.train[0].stem, self.train, self.valid)


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
        """Check the address. Raises :class:`ConfigError` unless it is HTTP or HTTPS."""
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
        return Corpus(self.name, paths[:1], paths[1:], hash_of=remembered_hash)

    def _target(self, file: str) -> Path:
        return self.folder / file.removesuffix(".gz")


class ToyStories:
    """Short stories from a grammar; see :mod:`lmlab.data.toystories`.

    Args:
        cache_dir: where the text is kept.
        num_train_documents: number of stories for training.
        num_valid_documents: number of stories for validation, distinct from those for training.
        seed: seed of the random stories.
    """

    def __init__(
        self, cache_dir: Path, *, num_train_documents: int, num_valid_documents: int, seed: int
    ) -> None:
        self.cache_dir = Path(cache_dir)
        self.num_train_documents = num_train_documents
        self.num_valid_documents = num_valid_documents
        self.seed = seed

    def check(self) -> None:
        """Check the numbers. Raises :class:`ConfigError`."""
        sizes = {
            "data.num_train_documents": self.num_train_documents,
            "data.num_valid_documents": self.num_valid_documents,
        }
        check_settings(Check(key, size, size >= 1, "1 or more") for key, size in sizes.items())

    def prepare(self) -> Corpus:
        """Write the stories, or reuse those written before."""
        from lmlab.data.toystories import write_corpus

        self.check()
        return write_corpus(
            self.cache_dir,
            num_train=self.num_train_documents,
            num_valid=self.num_valid_documents,
            seed=self.seed,
        )


def check_utf8(path: Path) -> None:
    """Read a full file. Raises :class:`DataError` with the offset of the first malformed byte."""
    size = path.stat().st_size
    with progress(total=size, desc="checking text", unit="B", unit_scale=True) as bar:
        for _ in read_utf8(path, bar.update):
            pass


def _check_file(key: str, path: Path) -> None:
    if path.is_dir():
        raise DataError(
            f"{key}={path}: expected a file, found a folder", "give the path of a text file in it"
        )
    if not path.is_file():
        raise DataError(f"{key}={path}: no such file", _similar_path(path))
    with translate_read_errors(f"{key}={path}"), open(path, "rb") as file:
        if not file.read(1):
            raise DataError(f"{key}={path}: the file is empty", "provide some text")


def _similar_path(path: Path) -> str | None:
    if not path.parent.is_dir():
        return f"check the path: its folder {path.parent} does not exist either"
    return suggestion(path.name, [other.name for other in path.parent.iterdir()])
