"""Parquet and Arrow as their own packages write them."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import pytest
from record_files import DOCUMENTS, parquet_by_pyarrow

from lmlab.errors import DataError
from lmlab.records.arrow import read_arrow, read_parquet
from lmlab.records.documents import Documents

arrow = pytest.importorskip("pyarrow")
MARKER = b"|E|"


def texts(found: list[Documents]) -> list[str]:
    return [bytes(one).decode() for block in found for one in block.pieces(MARKER)]


def parquet(table: object, folder: Path, column: str = "text") -> list[Documents]:
    import pyarrow.parquet

    path = folder / "rows"
    pyarrow.parquet.write_table(table, path)
    return [rows.read() for rows in read_parquet(path, column, MARKER, f"data.train={path}")]


def test_nulls_and_empty_texts_are_counted_and_left_out(tmp_path: Path) -> None:
    rows = [None, "a", "", None, "b", ""]
    found = parquet(arrow.table({"text": rows}), tmp_path)
    assert texts(found) == ["a", "b"]
    assert [(one.num_documents, one.num_empty, one.num_null, one.rows) for one in found] == [
        (2, 2, 2, 6)
    ]
    assert bytes(found[0].text) == b"a|E|b|E|"


def test_columns_may_be_nested_and_null_inside(tmp_path: Path) -> None:
    kind = arrow.struct([("raw", arrow.struct([("text", arrow.string())])), ("n", arrow.int64())])
    rows = [{"raw": {"text": "a"}, "n": 1}, None, {"raw": None, "n": 2}, {"raw": {"text": "b"}}]
    table = arrow.table({"meta": arrow.array(rows, kind), "a.b": ["w", "x", "y", "z"]})
    found = parquet(table, tmp_path, "meta.raw.text")
    assert texts(found) == ["a", "b"]
    assert found[0].num_null == 2
    assert texts(parquet(table, tmp_path, "a.b")) == ["w", "x", "y", "z"]


def test_a_long_column_is_cut_into_blocks(tmp_path: Path) -> None:
    rows = [f"{n} " * (n % 700) for n in range(5000)] + ["w" * 3_000_000, "end"]
    found = parquet(arrow.table({"text": rows}), tmp_path)
    assert texts(found) == [row for row in rows if row]
    assert found[-1].rows == len(rows)
    assert sorted(len(one.text) for one in found)[-2] < 2_300_000
    lengths = [length for one in found for length in one.lengths()]
    assert lengths == [len(row) for row in rows if row]


@pytest.mark.parametrize(
    ("column", "said"),
    [
        ("texts", 'no column texts; it has id, text, meta, meta.body\nhelp: did you mean "text"'),
        ("id", "column id: expected strings, found int64\nhelp: set data.column to one of: text"),
        ("meta", "column meta: expected strings, found struct"),
        ("text.more", "no column text.more"),
    ],
)
def test_a_wrong_column_is_refused_with_the_columns(column: str, said: str, tmp_path: Path) -> None:
    table = arrow.table({"id": [1], "text": ["a"], "meta": [{"body": "b"}]})
    with pytest.raises(DataError) as raised:
        parquet(table, tmp_path, column)
    assert said in str(raised.value)


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "rows"
    path.write_bytes(parquet_by_pyarrow(DOCUMENTS)[:-20])
    with pytest.raises(DataError, match=r"data\.train=rows cannot be read: .*\nhelp: copy"):
        list(read_parquet(path, "text", MARKER, "data.train=rows"))


@pytest.mark.parametrize("form", ["file", "stream"])
def test_both_forms_of_arrow_are_read(form: str, tmp_path: Path) -> None:
    table = arrow.table({"text": DOCUMENTS})
    out = io.BytesIO()
    new = arrow.ipc.new_file if form == "file" else arrow.ipc.new_stream
    with new(out, table.schema) as writer:
        for batch in table.to_batches(max_chunksize=2):
            writer.write_batch(batch)
    path = tmp_path / "rows"
    path.write_bytes(out.getvalue())
    found = [rows.read() for rows in read_arrow(path, "text", MARKER, str(path))]
    assert texts(found) == DOCUMENTS
    assert [one.rows for one in found] == [2, 4, 6, 7]


def test_a_missing_package_is_named_with_the_extra(tmp_path: Path) -> None:
    path = tmp_path / "rows"
    path.write_bytes(parquet_by_pyarrow(DOCUMENTS))
    code = (
        "import sys; sys.modules['pyarrow'] = None\n"
        "from pathlib import Path\n"
        "from lmlab.records.arrow import read_parquet\n"
        f"list(read_parquet(Path({str(path)!r}), 'text', b'', 'x'))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "pip install 'lmlab[parquet]'" in done.stderr


def test_reading_does_not_import_pandas(tmp_path: Path) -> None:
    """It takes a quarter of a second, which pyarrow spends where a scalar is made."""
    path = tmp_path / "rows"
    path.write_bytes(parquet_by_pyarrow([*DOCUMENTS, ""]))
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from lmlab.records.arrow import read_parquet\n"
        f"for one in read_parquet(Path({str(path)!r}), 'text', b'|', 'x'): one.read().lengths()\n"
        "print('pandas' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
