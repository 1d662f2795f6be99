"""The tables of rungs and learning rates."""

from __future__ import annotations

from lmlab.study.ladder_report.ladder_content import build_ladder
from lmlab.study.ladder_report.ladder_study import LadderStudy
from lmlab.study.ladder_report.rate_tables import rate_section, rung_section


def test_a_transferred_ladder_shows_rates_drift_regret_and_cost(transfer: LadderStudy) -> None:
    section = rate_section(build_ladder(transfer))
    found = {table["label"]: table for table in section["tables"]}
    rates = found["peak learning rates by rung"]
    assert rates["columns"][-1] == "drift per doubling"
    assert "(transferred); " in rates["rows"][0][3] and "transferred" not in rates["rows"][0][1]
    assert [row[0] for row in found["regret at r4"]["rows"]].count("new") >= 1
    spent = found["what the runs were for"]["rows"]
    assert [row[0] for row in spent][:2] == ["search for rates", "bracketing check"]
    assert section["figures"] == ["rates_by_size", "searches"]


def test_configured_rates_have_no_search_to_show(fixed: LadderStudy) -> None:
    section = rate_section(build_ladder(fixed))
    assert [table["label"] for table in section["tables"]] == ["peak learning rates by rung"]
    assert section["figures"] == [] and section["notes"][0].endswith("configured, not tuned.")


def test_rungs_show_their_sizes(fixed: LadderStudy) -> None:
    (table,) = rung_section(build_ladder(fixed))["tables"]
    assert table["rows"][1][:5] == ["r2", "64", "2", "50,000", "30,000"]
    assert dict(zip(table["columns"], table["rows"][1], strict=True))["passes"] == "0.015"
