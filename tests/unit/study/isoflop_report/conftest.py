"""isoFLOP studies of simulated runs on disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lmlab.study.isoflop_report.isoflop_study import IsoflopStudy
from lmlab.study.report_content import build_content
from lmlab.study.run_records import load_study
from tests.support.isoflop_folders import SIZES, isoflop_ladder, write_isoflop


@pytest.fixture(scope="session")
def iso_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished study of four budgets and seven sizes; do not write to it."""
    return write_isoflop(tmp_path_factory.mktemp("iso"))


@pytest.fixture(scope="session")
def iso(iso_folder: Path) -> IsoflopStudy:
    return IsoflopStudy.of(load_study(iso_folder))


@pytest.fixture(scope="session")
def content(iso_folder: Path) -> dict[str, Any]:
    return build_content(load_study(iso_folder))


@pytest.fixture(scope="session")
def edges(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A study whose best size is among its four small sizes at the lowest of three budgets only.

    The largest size misses the lowest budget, and the highest budget is not finished.
    """
    folder = write_isoflop(
        tmp_path_factory.mktemp("edges"),
        isoflop_ladder(SIZES[:4], budgets=4),
        skip=lambda job: job.arm.startswith("r4") and job.seed == 2,
        off=lambda rung, size: 1.3 if (rung, size) == (0, SIZES[0]) else 1.0,
    )
    return build_content(load_study(folder))
