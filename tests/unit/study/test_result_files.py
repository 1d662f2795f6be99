"""The table of results, written and read back by the programs that it is for."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import Any

import pytest

import lmlab
from lmlab.errors import ConfigError
from lmlab.study.result_files import (
    STDOUT,
    render_csv,
    render_json,
    to_frame,
    write_results,
)
from lmlab.study.result_rows import ResultTable

TYPES = {"arm": str, "seed": int, "optim.lr": float, "tied": bool, "loss": float}
ROWS: list[dict[str, Any]] = [
    {"arm": "a, \"b\"", "seed": 0, "optim.lr": 0.1, "tied": True, "loss": 1.25},
    {"arm": "=1+1", "seed": None, "optim.lr": None, "tied": None, "loss": math.nan},
]  # fmt: skip
TABLE = ResultTable(TYPES, ROWS)


def test_pandas_reads_the_csv_as_the_frame() -> None:
    pandas = pytest.importorskip("pandas")
    import io

    read = pandas.read_csv(io.StringIO(render_csv(TABLE)))
    frame = to_frame(TABLE)
    assert list(read.columns) == list(frame.columns) == list(TYPES)
    assert read["optim.lr"].tolist()[0] == frame["optim.lr"].tolist()[0] == 0.1
    assert read["arm"].tolist() == ['a, "b"', "'=1+1"]  # no spreadsheet computes it
    assert frame["arm"].tolist() == ['a, "b"', "=1+1"]
    assert [str(kind) for kind in frame.dtypes][1:] == ["Int64", "float64", "boolean", "float64"]
    assert frame["seed"].isna().tolist() == [False, True]


def test_json_is_strict() -> None:
    rows = json.loads(render_json(TABLE), parse_constant=pytest.fail)
    assert rows == [ROWS[0], ROWS[1] | {"loss": None}]
    assert json.loads(render_json(ResultTable(TYPES, []))) == []


def test_duckdb_polars_and_pandas_read_the_parquet_file(tmp_path: Path) -> None:
    duckdb, pandas = pytest.importorskip("duckdb"), pytest.importorskip("pandas")
    polars = pytest.importorskip("polars")
    path = tmp_path / "new" / "runs.parquet"
    write_results(TABLE, "parquet", path)
    found = duckdb.sql(f"select arm, \"optim.lr\", tied from '{path}' where seed = 0").fetchall()
    assert found == [('a, "b"', 0.1, True)]
    assert polars.read_parquet(path).schema["seed"] == polars.Int64
    assert pandas.read_parquet(path)["loss"].tolist()[0] == 1.25


def test_every_file_holds_all_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for form, text in (("csv", render_csv(TABLE)), ("json", render_json(TABLE))):
        path = tmp_path / f"runs.{form}"
        write_results(TABLE, form, path)
        assert path.read_text("utf-8") == text
        assert capsys.readouterr().out == f"2 runs, 5 columns: {path}\n"
        write_results(TABLE, form, STDOUT)
        assert capsys.readouterr().out == text
    with pytest.raises(ConfigError, match="parquet=-: expected a file"):
        write_results(TABLE, "parquet", STDOUT)


@pytest.mark.parametrize(
    ("package", "extra"), [("pandas", "lmlab.pandas"), ("pyarrow", "lmlab.parquet")]
)
def test_a_missing_package_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, package: str, extra: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ConfigError, match=f"needs? the package {package}") as raised:
        if package == "pandas":
            lmlab.results(tmp_path)
        else:
            write_results(TABLE, "parquet", tmp_path / "x.parquet")
    assert raised.value.help == f"run pip install 'lmlab[{extra.removeprefix('lmlab.')}]'"
