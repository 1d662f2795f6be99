"""Effects as plain values: words of verdicts, aliases, simple effects, panels."""

from __future__ import annotations

import pytest
from factorial_studies import FACTORS, a_factorial, a_loss, a_study

from lmlab.study.factorial_report.effect_rows import effect_rows, interaction_panels

FIVE = {**FACTORS, "e": ["model.ffn=gelu"]}


def test_verdicts_are_told_in_words() -> None:
    rows = {row["name"]: row for row in effect_rows(a_study(a_factorial()))}
    assert rows["a"]["shown"] == "lowers the loss"
    assert rows["d"]["shown"] == "raises the loss"
    assert rows["a x b"]["shown"] == "worse together"
    assert rows["c"]["shown"].startswith("no effect larger than 0.0")
    assert rows["c x d"]["shown"].startswith("no interaction larger than 0.0")
    assert rows["a x b x c"]["shown"] == "" and rows["a x b x c"]["verdict"] == "no verdict"


def test_parts_that_need_each_other_are_better_together() -> None:
    found = a_study(a_factorial(), a_loss(lambda on: 3 - 0.3 * ("a" in on and "b" in on)))
    rows = {row["name"]: row for row in effect_rows(found)}
    assert rows["a x b"]["shown"] == "better together"
    simple = rows["a x b"]["simple"][0]
    assert (simple["factor"], simple["other"]) == ("a", "b")
    assert simple["off"] == pytest.approx(0, abs=0.01)
    assert simple["on"] == pytest.approx(-0.3, abs=0.01)
    assert 0 < simple["on_error"] < 0.01


def test_an_interval_excludes_zero_exactly_where_an_effect_is_claimed() -> None:
    for row in effect_rows(a_study(a_factorial(margin=0.0), a_loss(noise=0.02))):
        if row["order"] <= 2:
            is_clear = row["verdict"] in ("better", "worse")
            assert is_clear == (row["low"] > 0 or row["high"] < 0)


def test_inconclusive_effects_say_how_many_seeds_they_need() -> None:
    found = a_study(a_factorial(margin=0.001), a_loss(lambda on: 3.0, noise=0.03))
    details = [row["detail"] for row in effect_rows(found) if row["verdict"] == "inconclusive"]
    assert details and all("seeds needed" in detail for detail in details)


def test_no_verdicts_where_seeds_are_lost() -> None:
    found = a_study(
        a_factorial(),
        status=lambda job: "diverged" if job.arm == "a" and job.seed == 1 else "done",
    )
    rows = effect_rows(found)
    assert {row["verdict"] for row in rows} == {"no verdict"}
    assert rows[0]["low"] is not None and rows[0]["p"] is None


def test_one_seed_leaves_what_stands_out() -> None:
    rows = {row["name"]: row for row in effect_rows(a_study(a_factorial(num_seeds=1)))}
    assert rows["a"]["shown"] == "stands out" and rows["a"]["low"] is None
    assert rows["c"]["shown"] == ""


def test_aliases_of_a_fraction_are_named_with_their_signs() -> None:
    found = a_study(a_factorial(factors=FIVE, fraction=2, lr="fixed"))
    rows = {row["name"]: row for row in effect_rows(found)}
    assert rows["a"]["aliases"] == "-b x c x d x e"
    assert rows["a x b"]["aliases"] == "-c x d x e"
    third = a_study(a_factorial(factors=FIVE, fraction=4, lr="fixed"))
    assert effect_rows(third)[0]["aliases"] == "-b x d, -c x e and 1 more"
    assert effect_rows(a_study(a_factorial(lr="fixed")))[0]["aliases"] == ""


def test_panels_are_means_over_all_other_factors_the_strongest_first() -> None:
    panels = interaction_panels(a_study(a_factorial(lr="fixed"), a_loss(rate=lambda on: 3e-3)))
    assert len(panels) == 6
    first = panels[0]
    assert (first["x"], first["lines"]) == ("a", "b")
    base = first["off"][0]
    differences = [first["off"][1] - base, first["on"][0] - base, first["on"][1] - base]
    assert differences == pytest.approx([-0.2, -0.2, -0.2], abs=0.01)
    sizes = [abs(panel["estimate"]) for panel in panels]
    assert sizes == sorted(sizes, reverse=True)
