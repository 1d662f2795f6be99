"""The tables of a ladder show every number that its rows hold."""

from __future__ import annotations

from typing import Any

from lmlab.study.ladder_report.ladder_content import build_ladder
from lmlab.study.ladder_report.ladder_study import LadderStudy
from lmlab.study.ladder_report.tables import build_sections


def tables(content: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {table["label"]: table for one in content["sections"] for table in one["tables"]}


def test_every_table_has_as_many_cells_as_columns(
    fixed: LadderStudy, transfer: LadderStudy
) -> None:
    for found in (fixed, transfer):
        for label, table in tables(build_ladder(found)).items():
            assert {len(row) for row in table["rows"]} == {len(table["columns"])}, label


def test_bounds_and_losses_that_are_missing_read_as_such(fixed: LadderStudy) -> None:
    content = build_ladder(fixed)
    gain = content["gains"][0]["rungs"][0]
    gain |= {"gain": None, "bound": "at least", "bound_gain": 2.0, "high": None}
    loss = content["losses"][0]["rungs"][3]
    loss |= {"mean": None, "losses": [], "lost": 3}
    found = {table["label"]: table for one in build_sections(content) for table in one["tables"]}
    assert found["gains by rung"]["rows"][0][1].startswith("at least 2.00 (")
    losses = found["final losses: mean, standard deviation, seeds"]
    assert losses["rows"][0][4] == "3 lost"


def test_forecasts_say_inside_or_outside(fixed: LadderStudy) -> None:
    content = build_ladder(fixed)
    (label,) = [name for name in tables(content) if name.startswith("forecast of r4, sealed")]
    ends = {row[-1] for row in tables(content)[label]["rows"]}
    assert ends <= {"inside", "outside"} and ends


def test_gains_off_their_line_are_named_on_both_axes(fixed: LadderStudy) -> None:
    content = build_ladder(fixed)
    for gains in (content["gains"], content["timed"]["gains"]):
        gains[0]["trend"]["misfit_p"] = 6e-6
        for row in gains[1:]:
            row["trend"]["misfit_p"] = 0.5
    notes = [note for one in build_sections(content) for note in one["notes"]]
    off = [note for note in notes if "no straight line" in note]
    arm = content["gains"][0]["arm"]
    for cost, note in zip(("compute", "time"), off, strict=True):
        assert f"tenfold {cost} is an average: {arm} (p = 6e-06)" in note
