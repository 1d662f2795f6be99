"""A text as a file of token ids, encoded once and read through memory mapping."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lmlab.data.corpus_encoding import encode_to
from lmlab.data.id_shards import IdShard
from lmlab.data.text_bytes import evaluated_bytes, text_bytes
from lmlab.errors import DataError
from lmlab.nn.document_layout import Documents
from lmlab.records.text import Text
from lmlab.storage.cache_entry import open_or_make
from lmlab.storage.content_hash import remembered_hash
from lmlab.storage.io import hash_json, make_folder, read_json
from lmlab.storage.sealed import read_sealed, write_sealed
from lmlab.tokenizer import Tokenizer
from lmlab.tokenizer.text_markers import END_OF_TEXT

FORMAT_VERSION = 2
_KIND = "token file"  # sidecars keep their checksum when the pair is renamed
_AGAIN = "remove the .json and the .bin file to encode the text again"


@dataclasses.dataclass(frozen=True)
class TokenFile:
    """``<name>.bin`` of little-endian ids, and its sidecar ``<name>.json``.

    Attributes:
        path: the ``.bin`` file.
        dtype: uint16, or uint32 where the vocabulary needs it.
        num_tokens: number of ids in the file.
        num_text_bytes: see :func:`lmlab.data.text_bytes.text_bytes`.
        tokenizer_hash: hash of the tokenizer that encoded it.
        text_hash: hash of the text.
        vocab_size: number of entries of that tokenizer.
        largest_id: the largest id in the file; -1 in an empty file.
        sha256: hash of the file.
        end_id: see :func:`lmlab.data.text_bytes.text_bytes`.
    """

    path: Path
    dtype: str
    num_tokens: int
    num_text_bytes: int
    tokenizer_hash: str
    text_hash: str
    vocab_size: int
    largest_id: int
    sha256: str
    end_id: int | None = None

    @classmethod
    def open(cls, path: Path) -> TokenFile:
        """Read the sidecar of ``path`` and check the file against it.

        The content of the file is read and hashed once per state of the file.

        Raises:
            DataError: one of the two is missing, damaged or of another format, or they do not
                belong together.
        """
        sidecar = path.with_suffix(".json")
        try:
            version = read_json(sidecar)["format_version"]
            if version != FORMAT_VERSION:
                raise DataError(
                    f"{sidecar}: format version {version}, expected {FORMAT_VERSION}", _AGAIN
                )
            record = read_sealed(sidecar, _KIND)
            del record["format_version"]
            found = cls(path=path, **record)
            size = path.stat().st_size
            expected = found.num_tokens * np.dtype(found.dtype).itemsize
            is_intact = size == expected and remembered_hash(path) == found.sha256
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(f"{path}: cannot read token file ({sidecar.name}: {error})") from error
        if size != expected:
            raise DataError(
                f"{path}: expected {expected} bytes according to {sidecar.name}, found {size}",
                _AGAIN,
            )
        if not is_intact:
            raise DataError(f"{path}: not the content that {sidecar.name} describes", _AGAIN)
        return found

    @property
    def shards(self) -> tuple[IdShard, ...]:
        """Where the ids are: one part, the whole file."""
        return (IdShard(self.path, self.dtype, 0, self.num_tokens),)

    @property
    def tokens(self) -> np.ndarray[Any, np.dtype[Any]]:
        """The ids, (num_tokens,), mapped from the file."""
        if self.num_tokens == 0:
            return np.empty(0, dtype=self.dtype)
        return np.memmap(self.path, dtype=np.dtype(self.dtype).newbyteorder("<"), mode="r")

    def check(self, tokenizer_hash: str, context_length: int, vocab_size: int) -> None:
        """Check that the file can serve a run.

        Raises:
            DataError: the file has no tokens, or fewer than ``context_length`` + 1; another
                tokenizer encoded it; or an id is not below ``vocab_size``.
        """
        if self.num_tokens == 0:
            raise DataError(f"{self.path}: the token file is empty", "provide some text")
        if self.num_tokens < context_length + 1:
            raise DataError(
                f"model.context_length={context_length}: expected at least {context_length + 1} "
                f"tokens in {self.path}, found {self.num_tokens}",
                "provide more text, lower model.context_length, or set data.valid or "
                "data.valid_fraction, if this is the held-out part",
            )
        if self.tokenizer_hash != tokenizer_hash:
            raise DataError(
                f"{self.path}: encoded by another tokenizer "
                f"({self.tokenizer_hash[:8]}, expected {tokenizer_hash[:8]})",
                "encode the text again",
            )
        if self.largest_id >= vocab_size:
            raise DataError(
                f"{self.path}: expected ids from 0 to {vocab_size - 1} "
                f"(model.vocab_size={vocab_size}), found {self.largest_id}",
                "encode the text again",
            )

    def text_bytes(self, tokenizer: Tokenizer) -> int:
        """UTF-8 bytes of the text; see :func:`lmlab.data.text_bytes.text_bytes`."""
        return text_bytes(tokenizer, self.tokens, self.end_id)

    def evaluated_bytes(self, tokenizer: Tokenizer, windows: Sequence[tuple[int, int]]) -> int:
        """Bytes of a part; see :func:`lmlab.data.text_bytes.evaluated_bytes`."""
        return evaluated_bytes(tokenizer, self.tokens, windows, self.end_id)

    def documents(self, tokenizer: Tokenizer) -> Documents | None:
        """The end of text follows each document; None if the tokenizer has none."""
        end_id = tokenizer.end_of_text_id
        return None if end_id is None else Documents(end_id)


def _largest_id(path: Path, dtype: np.dtype[Any]) -> int:
    """The largest id in a file; -1 in an empty one. Read in parts: mapped pages count as memory."""
    largest = -1
    with open(path, "rb") as file:
        while len(part := np.fromfile(file, dtype, 1 << 20)):
            largest = max(largest, int(part.max()))
    return largest


def encode_corpus(
    text: Text | Sequence[Path],
    tokenizer: Tokenizer,
    cache_dir: Path,
    *,
    name: str,
    text_hash: str,
) -> TokenFile:
    """Encode a text, or reuse it if it is encoded already.

    A damaged token file is encoded again, with a warning. After a kill, the next call resumes; see
    :mod:`lmlab.data.corpus_encoding`.

    Args:
        text: what is encoded, or its files.
        tokenizer: encodes it.
        cache_dir: where token files are kept, by the hash of text and tokenizer.
        name: name of the split.
        text_hash: hash of the text.

    Raises:
        TextChangedError: the encoded bytes do not have ``text_hash``.
        DataError: a text cannot be read or is not UTF-8.
        DiskError: the disk is full or not writable; partial files are removed.
    """
    text = Text.of(text)
    key = hash_json({"version": FORMAT_VERSION, "text": text_hash, "tokenizer": tokenizer.hash})
    binary, sidecar = f"{name}.bin", f"{name}.json"

    def open_in(folder: Path) -> TokenFile | None:
        if not any((folder / file).exists() for file in (binary, sidecar)):
            return None
        found = TokenFile.open(folder / binary)
        if (found.tokenizer_hash, found.text_hash) != (tokenizer.hash, text_hash):
            raise DataError(f"{found.path}: the ids of another text or tokenizer")
        return found

    return open_or_make(
        Path(cache_dir) / "tokens" / key[:16],
        open_in,
        lambda folder: write_token_file(text, tokenizer, folder / binary, text_hash),
        lock=f"{name}.lock",
        files=(binary, sidecar),
        doing="encoding the text",
        num_bytes=text.size(),
    )


def write_token_file(
    text: Text | Sequence[Path], tokenizer: Tokenizer, path: Path, text_hash: str | None = None
) -> TokenFile:
    """Encode a text to ``path`` (``.bin``) and write its sidecar.

    Args:
        text: what is encoded, or its files.
        tokenizer: encodes it.
        path: the file of ids.
        text_hash: the hash that the text had before; None accepts any text.

    Raises:
        DataError, DiskError: see :func:`encode_corpus`.
    """
    make_folder(path.parent)
    sidecar = path.with_suffix(".json")
    text = Text.of(text)
    encoded = encode_to(path, text, tokenizer, text_hash, sidecar=sidecar)
    num_tokens, num_text_bytes = encoded.num_tokens, encoded.num_text_bytes
    dtype = tokenizer.dtype
    end_id = tokenizer.end_of_text_id if text.has_documents() else None
    if tokenizer.special_tokens != [END_OF_TEXT]:  # encoders leave out all special tokens, or none
        mapped = np.memmap(path, dtype, "r") if num_tokens else np.empty(0, dtype)
        num_text_bytes = text_bytes(tokenizer, mapped, end_id)
    found = TokenFile(
        path,
        dtype.name,
        num_tokens,
        num_text_bytes,
        tokenizer.hash,
        encoded.text_hash,
        tokenizer.vocab_size,
        _largest_id(path, dtype),
        encoded.sha256,
        end_id,
    )
    record = dataclasses.asdict(found)
    del record["path"]
    if end_id is None:  # as earlier versions wrote it
        del record["end_id"]
    write_sealed(sidecar, {"format_version": FORMAT_VERSION, **record}, _KIND)
    return found


def is_sidecar(path: Path) -> bool:
    """Whether a JSON file describes a token file."""
    try:
        return set(read_json(path)) >= {"format_version", "num_tokens", "tokenizer_hash"}
    except (OSError, ValueError, TypeError):
        return False
