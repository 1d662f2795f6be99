"""An isoFLOP study has no verdicts, and says so."""

from __future__ import annotations

from lmlab.study.isoflop_report.isoflop_notes import (
    isoflop_glossary,
    isoflop_limits,
    isoflop_rule,
)
from tests.support.isoflop_folders import isoflop_ladder


def test_the_rule_and_the_terms_leave_out_what_is_not_done() -> None:
    ladder = isoflop_ladder()
    rule = " ".join(isoflop_rule(ladder))
    assert "no gains and no verdicts" in rule and "level 90%" in rule and "more than 5%" in rule
    terms = [term for term, _ in isoflop_glossary(ladder)]
    assert terms == sorted(terms, key=str.lower) and "best size" in terms
    assert not {"gain", "baseline", "margin", "seal"} & set(terms)


def test_limits_depend_on_where_rates_come_from() -> None:
    fixed = isoflop_limits(isoflop_ladder(limits=["Mine."]))
    searched = isoflop_limits(isoflop_ladder(lr="search", num_seeds=[2, 3, 3, 3], entropy=1.2))
    assert fixed[0] == "Mine." and any("rates are not tuned" in line for line in fixed)
    assert "2 to 3 seeds" in searched[0] and any("chosen by the loss" in one for one in searched)
    assert any("at least 1.2 nats" in line for line in searched)
