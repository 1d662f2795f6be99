"""Rules, limits and terms follow the declaration of the ladder."""

from __future__ import annotations

from typing import Any

from lmlab.study.ladder_report.ladder_study import LadderStudy
from lmlab.study.ladder_report.notes import decision_rule, ladder_glossary, ladder_limits
from tests.support.ladders import a_ladder


def test_the_rule_states_the_settings_it_uses() -> None:
    arms = {"base": [], "new": ["a=1"], "other": ["a=2"]}
    text = " ".join(decision_rule(a_ladder(arms=arms, alpha=0.05, margin=0.1, max_factor=7.0)))
    assert "Over the 2 arms" in text and "at most 5% (Holm's method)" in text
    assert "95% interval of the line lies within the margin, 0.909 to 1.10" in text
    assert "beyond 7 times" in text
    assert "Holm" not in " ".join(decision_rule(a_ladder()))


def test_limits_depend_on_how_rates_were_chosen(
    fixed: LadderStudy, transfer: LadderStudy, written: Any
) -> None:
    of_fixed, of_transfer = (" ".join(ladder_limits(one)) for one in (fixed, transfer))
    assert "Learning rates are not tuned" in of_fixed and "bracketing" not in of_fixed
    assert "bracketing check" in of_transfer and "same validation text" in of_transfer
    found = written(limits=["A small text."], entropy=1.2, num_seeds=[4, 3, 2, 2])
    text = ladder_limits(found)
    assert text[0] == "A small text." and "2 to 4 seeds" in text[1]
    assert any("at least 1.2 nats" in line for line in text)


def test_terms_are_those_that_the_report_uses() -> None:
    terms = dict(map(tuple, ladder_glossary(a_ladder(lr="transfer", replicate="again"))))
    assert {"gain", "rung", "seal", "asymptote E", "replicate", "bracket", "drift"} <= set(terms)
    assert "seal" not in dict(map(tuple, ladder_glossary(a_ladder(sealed=False))))
    assert list(terms) == sorted(terms, key=str.lower)
