"""Arrays and tables that do not hold ids."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from token_forms import FORMS

from lmlab.data.token_formats.numpy_files import open_array, open_olmo, table_of
from lmlab.errors import DataError


@pytest.mark.parametrize(
    "array", [np.zeros((2, 3), np.int32), np.zeros(3), np.zeros(3, ">u2"), np.array([{}, 1])]
)
def test_an_array_of_other_things_is_refused(array: np.ndarray, tmp_path: Path) -> None:  # type: ignore[type-arg]
    np.save(tmp_path / "a.npy", array, allow_pickle=True)
    with pytest.raises(DataError, match=r"data\.train=a\.npy"):
        open_array("data.train=a.npy", tmp_path / "a.npy")


def test_a_damaged_table_is_refused_when_it_is_read(tmp_path: Path) -> None:
    path = FORMS["olmo"](tmp_path)
    table_of(path).write_bytes(table_of(path).read_bytes()[:-30])
    found = open_olmo("data.train=a.npy", path, "uint16")
    assert found.read_ends is not None
    with pytest.raises(DataError, match=r"part-0\.csv\.gz cannot be read"):
        found.read_ends()


def test_without_a_table_no_end_is_known(tmp_path: Path) -> None:
    path = FORMS["olmo"](tmp_path)
    table_of(path).unlink()
    assert open_olmo("data.train=a.npy", path, "uint16").read_ends is None
