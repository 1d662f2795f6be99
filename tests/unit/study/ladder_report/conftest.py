"""Ladders of simulated runs on disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lmlab.study.ladder_report.ladder_study import LadderStudy
from lmlab.study.run_records import load_study
from tests.support.ladder_folders import write_ladder
from tests.support.ladders import a_ladder

WIDE = {"max_factor": 12.0, "replicate": "again"}


@pytest.fixture(scope="session")
def fixed_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished ladder of four rungs at configured rates; do not write to it."""
    return write_ladder(tmp_path_factory.mktemp("fixed"), a_ladder(4, **WIDE))


@pytest.fixture(scope="session")
def transfer_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished ladder whose rates are searched on two rungs and transferred to two."""
    ladder = a_ladder(
        4, lr="transfer", search_rungs=2, at_lowest_lr=True, num_tuning_seeds=2, **WIDE
    )
    return write_ladder(tmp_path_factory.mktemp("transfer"), ladder)


@pytest.fixture(scope="session")
def fixed(fixed_folder: Path) -> LadderStudy:
    return LadderStudy.of(load_study(fixed_folder))


@pytest.fixture(scope="session")
def transfer(transfer_folder: Path) -> LadderStudy:
    return LadderStudy.of(load_study(transfer_folder))


@pytest.fixture
def written(tmp_path: Path) -> Any:
    """Return a function that writes a ladder and loads it."""

    def write(number: int = 4, *, how: dict[str, Any] | None = None, **changes: Any) -> LadderStudy:
        folder = write_ladder(tmp_path, a_ladder(number, **WIDE | changes), **(how or {}))
        return LadderStudy.of(load_study(folder))

    return write
