"""The table of results for other programs: a DataFrame, CSV, JSON or Parquet."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lmlab.errors import ConfigError
from lmlab.storage.io import atomic_write_text, make_folder, translate_write_errors
from lmlab.storage.json_text import dump_json
from lmlab.study.plain_text import csv_cell
from lmlab.study.result_rows import ResultTable, columns_of

if TYPE_CHECKING:
    import pandas

STDOUT = Path("-")


def to_frame(table: ResultTable) -> pandas.DataFrame:
    """Return a table as a pandas DataFrame.

    Integers and truth values that are missing in a run are ``pandas.NA``; texts that are missing
    are None, and numbers NaN.

    Raises:
        ConfigError: pandas is not installed.
    """
    try:
        import pandas
    except ImportError as error:
        raise ConfigError(
            "lmlab.results needs the package pandas", "run pip install 'lmlab[pandas]'"
        ) from error
    kinds = {int: "Int64", float: "float64", bool: "boolean", str: "object"}
    return pandas.DataFrame(
        {name: pandas.Series(values, dtype=kinds[kind])
         for name, kind, values in columns_of(table)}
    )  # fmt: skip


def render_csv(table: ResultTable) -> str:
    """Render a table as CSV; unknown values are empty."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(map(csv_cell, table.types))
    for row in table.rows:
        writer.writerow([csv_cell(_text(row[name])) for name in table.types])
    return buffer.getvalue()


def _text(value: object) -> object:
    return ("false", "true")[value] if isinstance(value, bool) else value


def render_json(table: ResultTable) -> str:
    """Render a table as a JSON list of one object for each run; a loss that is NaN is null."""
    rows = [{name: row[name] for name in table.types} for row in table.rows]
    lines = (dump_json(row, mark_nonfinite=False) for row in rows)
    return "[" + ",\n ".join(lines) + "]\n"


def write_parquet(table: ResultTable, path: Path) -> None:
    """Write a table as a Parquet file.

    Raises:
        ConfigError: pyarrow is not installed.
        DiskError: the file cannot be written.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise ConfigError(
            f"parquet={path}: Parquet files need the package pyarrow",
            "run pip install 'lmlab[parquet]'",
        ) from error
    kinds: dict[type, Any] = {
        int: pyarrow.int64(), float: pyarrow.float64(), bool: pyarrow.bool_(),
        str: pyarrow.string(),
    }  # fmt: skip
    arrays = {name: pyarrow.array(values, kinds[kind]) for name, kind, values in columns_of(table)}
    with translate_write_errors(path):
        pyarrow.parquet.write_table(pyarrow.table(arrays), path)


def write_results(table: ResultTable, form: str, path: Path) -> None:
    """Write a table to a file, and print where; with ``-``, print the table.

    Args:
        table: what to write.
        form: ``csv``, ``json`` or ``parquet``.
        path: the file, which is replaced; its folder is created.

    Raises:
        ConfigError: a Parquet file is to be printed, or the package for it is missing.
    """
    renderers: dict[str, Callable[[ResultTable], str]] = {"csv": render_csv, "json": render_json}
    if path == STDOUT:
        if form not in renderers:
            raise ConfigError(
                f"{form}=-: expected a file", f"name a file, as in {form}=runs.{form}"
            )
        sys.stdout.write(renderers[form](table))
        return
    make_folder(path.parent)
    if form in renderers:
        atomic_write_text(path, renderers[form](table))
    else:
        write_parquet(table, path)
    print(f"{len(table.rows):,} runs, {len(table.types)} columns: {path}")
