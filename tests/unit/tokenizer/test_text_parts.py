"""Every form of the same documents gives the same ids and the same hash, in any parts."""

from __future__ import annotations

import gzip
import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
from record_files import DOCUMENTS, forms, json_lines, parquet_by_pyarrow, plain

from lmlab.errors import ConfigError, DataError, TextChangedError
from lmlab.records.document_hash import HeldOut
from lmlab.records.text import Text
from lmlab.records.text_hash import TextHash
from lmlab.tokenizer.text_parts import TextParts

END = "<|endoftext|>"
MARKER = END.encode()


def write(data: bytes, folder: Path, name: str = "text") -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def read(text: Text, marker: bytes | None = MARKER, size: int = 1 << 20) -> tuple[bytes, str]:
    found = TextHash()
    parts = TextParts(text, marker, None, found, size)
    pieces, buffer = [], parts.buffer()
    while True:
        part, buffer = parts.read(buffer)
        if part is None:
            return b"".join(pieces), found.combined
        pieces.append(bytes(buffer.view[: part.size]))
        if part.ends_document:
            pieces.append(marker or b"")


def test_every_form_is_the_plain_text_with_ends(tmp_path: Path) -> None:
    expected = read(Text.of(write(plain(DOCUMENTS), tmp_path)))
    assert expected[0] == plain(DOCUMENTS)
    for name, data in forms(DOCUMENTS, tmp_path).items():
        for size in (50, 1 << 20):
            assert read(Text.of(write(data, tmp_path)), size=size) == expected, name


def test_shards_are_one_text(tmp_path: Path) -> None:
    expected = read(Text.of(write(plain(DOCUMENTS), tmp_path)))
    shards = [
        write(parquet_by_pyarrow(DOCUMENTS[:3]), tmp_path, "0"),
        write(json_lines(DOCUMENTS[3:4]), tmp_path, "1"),
        write(gzip.compress(json_lines(DOCUMENTS[4:])), tmp_path, "2"),
    ]
    assert read(Text.of(shards)) == expected


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["one", "two"], f"one{END}two"),
        ([f"one{END}", "two"], f"one{END}two"),
        ([f"one{END}\n \n", "", "two", ""], f"one{END}\n \ntwo{END}"),
        (["", "one"], "one"),
    ],
)
def test_files_are_never_joined_without_an_end(
    texts: list[str], expected: str, tmp_path: Path
) -> None:
    paths = [write(text.encode(), tmp_path, str(n)) for n, text in enumerate(texts)]
    assert read(Text.of(paths), size=7)[0] == expected.encode()


def test_a_tokenizer_without_an_end_is_refused_where_one_is_needed(tmp_path: Path) -> None:
    one = write(b"one", tmp_path, "1")
    assert read(Text.of(one), None)[0] == b"one"
    for text in (Text.of([one, one]), Text.of(write(json_lines(DOCUMENTS), tmp_path))):
        with pytest.raises(ConfigError, match="end of text"):
            read(text, None)


def test_a_file_may_be_a_document(tmp_path: Path) -> None:
    texts = ["one", f"two {END} three", ""]
    paths = [write(text.encode(), tmp_path, str(n)) for n, text in enumerate(texts)]
    text = Text((), documents="file").with_files(paths)
    expected = Text.of(write(json_lines(texts), tmp_path))
    for size in (1, 5, 1000):
        assert read(text, size=size) == read(expected)


def test_the_sides_of_a_split_are_disjoint_and_complete(tmp_path: Path) -> None:
    documents = [f"document {n % 900}" for n in range(1000)]
    for data in (plain(documents), json_lines(documents)):
        text = Text.of(write(data, tmp_path))
        sides = []
        for is_held_out in (False, True):
            side = Text(text.files, held_out=HeldOut(0.2, is_held_out))
            sides.append(read(side)[0].decode().split(END)[:-1])
        assert sorted(sides[0] + sides[1]) == sorted(documents)
        assert not set(sides[0]) & set(sides[1]), "duplicates are on one side"
        assert 0.15 < len(sides[1]) / 1000 < 0.25
        fewer = Text(text.files, held_out=HeldOut(0.1, True))
        assert set(read(fewer)[0].decode().split(END)) - {""} < set(sides[1])


@pytest.mark.parametrize("form", ["plain", "json lines gz", "parquet string"])
def test_reading_resumes_at_every_place(form: str, tmp_path: Path) -> None:
    data = forms(DOCUMENTS, tmp_path)[form]
    paths = [write(data, tmp_path, "1"), write(data, tmp_path, "2")]

    def parts() -> TextParts:
        return TextParts(Text.of(paths), MARKER, None, part_bytes=300)

    def rest(reader: TextParts) -> Iterator[tuple[tuple[int, int], bytes]]:
        buffer = reader.buffer()
        while True:
            part, buffer = reader.read(buffer)
            if part is None:
                return
            yield (part.next_file, part.next_place), bytes(buffer.view[: part.size])

    whole = parts()
    found = list(rest(whole))
    text = b"".join(data for _, data in found)
    for number, (place, _) in enumerate(found):
        again = parts()
        assert again.skip_to(*place)
        assert b"".join(data for _, data in rest(again)) == b"".join(
            data for _, data in found[number + 1 :]
        )
        assert again.text_hash.combined == whole.text_hash.combined
    assert text
    assert not parts().skip_to(0, 1 << 40)


def test_a_text_that_changes_is_noticed(tmp_path: Path) -> None:
    for name, data in itertools.islice(forms(DOCUMENTS, tmp_path).items(), 3):
        path = write(data, tmp_path)
        parts = TextParts(Text.of(path), MARKER, None, part_bytes=100)
        buffer = parts.buffer()
        part, buffer = parts.read(buffer)
        with open(path, "ab") as file:
            file.write(b"x")
        with pytest.raises((TextChangedError, DataError)):
            while part is not None:
                part, buffer = parts.read(buffer)
        assert name
