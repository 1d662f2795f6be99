"""Notes, decision rule, limitations and terms of a factorial study."""

from __future__ import annotations

from typing import Any

import pytest
from factorial_studies import FACTORS, a_factorial, a_loss, a_study

from lmlab.study.factorial_report.factorial_notes import (
    factorial_glossary,
    factorial_limits,
    factorial_rule,
    section_notes,
)
from lmlab.study.factorial_report.factorial_study import FactorialStudy

FIVE = {**FACTORS, "e": ["model.ffn=gelu"]}


def study(**changes: Any) -> FactorialStudy:
    return a_study(a_factorial(**changes), a_loss(noise=0.01))


def test_the_rule_states_test_level_family_and_what_is_detected() -> None:
    text = " ".join(factorial_rule(study()))
    assert "one-sample t test" in text and "all 10 main effects" in text and "at most 5%" in text
    assert "sign-flip test" in " ".join(factorial_rule(study(test="sign_flips", num_seeds=9)))
    assert factorial_rule(study(num_seeds=1)) == [
        "One seed supports no verdict: effects may be noise."
    ]


def test_the_spread_is_that_of_runs_without_what_their_seed_shares() -> None:
    # Seeds shift all cells by 0.05; runs have noise of 0.01.
    text = " ".join(factorial_rule(study(num_seeds=12, lr="fixed")))
    spread = float(text.split("vary over seeds by ")[1].split()[0])
    assert spread == pytest.approx(0.01, rel=0.15)


def test_earlier_looks_are_stated() -> None:
    found = study()
    assert found.manifest.comparison is not None
    found.manifest.comparison.earlier_looks.append(3)
    assert "judged before with fewer seeds (3)" in " ".join(factorial_rule(found))


def test_notes_state_the_defining_relation_of_a_fraction() -> None:
    notes = " ".join(section_notes(study(factors=FIVE, fraction=2, lr="fixed"))["effects"])
    assert "2^(5-1), resolution V" in notes and "I = -a x b x c x d x e" in notes
    assert "Defining" not in " ".join(section_notes(study(lr="fixed"))["effects"])


def test_notes_on_rates_state_the_scatter_or_that_nothing_checks_the_model() -> None:
    assert "scatter about the model by a factor of 1." in " ".join(section_notes(study())["rates"])
    three = {name: FACTORS[name] for name in "abc"}
    assert "cannot check it" in " ".join(section_notes(study(factors=three))["rates"])
    assert section_notes(study(lr="search"))["rates"] == []


def test_limits_name_fractions_and_predicted_rates() -> None:
    assert len(factorial_limits(study(lr="fixed"))) == 1
    assert "predicted" in " ".join(factorial_limits(study()))
    assert "aliases" in " ".join(factorial_limits(study(factors=FIVE, fraction=2, lr="fixed")))


def test_terms_are_sorted() -> None:
    terms = [term for term, _ in factorial_glossary(study())]
    assert terms == sorted(terms) and "resolution" in terms and "peak lr" in terms
    assert "peak lr" not in [term for term, _ in factorial_glossary(study(lr="fixed"))]
