"""The declaration of a factorial study: its cells, and what is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from factorial_studies import FACTORS, a_factorial, a_manifest

from lmlab.design.factorial_checks import check_typed
from lmlab.design.manifest import Manifest
from lmlab.errors import ConfigError

FIVE = {**FACTORS, "e": ["model.ffn=gelu"]}


def test_cells_are_all_combinations_of_the_overrides() -> None:
    factorial = a_factorial(factors={
        "norm": [["model.norm=rms"], ["model.norm=none"]], "muon": ["optim=muon"],
    })  # fmt: skip
    assert factorial.arms == {
        "baseline": ["model.norm=rms"],
        "norm": ["model.norm=none"],
        "muon": ["model.norm=rms", "optim=muon"],
        "norm-muon": ["model.norm=none", "optim=muon"],
    }
    assert factorial.comparison.baseline == "baseline"
    assert factorial.family == 3
    assert factorial.shown_design == "2^2, all combinations"


def test_a_fraction_has_the_baseline_and_the_stated_resolution() -> None:
    factorial = a_factorial(factors=FIVE, fraction=2)
    assert len(factorial.cells) == 16
    assert factorial.cells["baseline"] == (False,) * 5
    assert factorial.shown_design == "2^(5-1), resolution V"
    assert factorial.family == 15
    assert a_factorial(factors=FIVE, resolution=3).shown_design == "2^(5-2), resolution III"


def test_given_generators_make_the_fraction() -> None:
    factorial = a_factorial(generators=["c=a*b*d"])
    assert factorial.design.names == ("a", "b", "d", "c")
    assert factorial.cells["a-b"] == (True, True, False, False)
    assert factorial.arms["a-c"] == [*FACTORS["a"], *FACTORS["c"]]


def test_half_of_the_cells_of_four_factors_are_searched() -> None:
    assert len(a_factorial().searched_cells) == 8
    assert a_factorial(lr="search").searched_cells == list(a_factorial().cells)
    assert a_factorial(lr="fixed").searched_cells == []
    predicted = [cell for cell in a_factorial().cells if a_factorial().predicts(cell)]
    assert len(predicted) == 8 and "baseline" not in predicted


def test_sign_flips_need_seeds_for_the_whole_family() -> None:
    assert a_factorial(test="auto", num_seeds=8).test == "t"
    assert a_factorial(test="auto", num_seeds=9).test == "sign_flips"  # 2^-8 below 0.05 / 10
    assert a_factorial(test="auto", num_seeds=9).comparison.test == "sign_flips"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"factors": {"a": ["model.norm=none"]}}, "2 to 8 factors"),
        ({"factors": {"a": [], "b": ["x=1"]}}, r"design.factors.a=\[\]: expected a list"),
        ({"factors": {"a": "x=1", "b": ["y=1"]}}, "design.factors.a=x=1: expected a list"),
        ({"factors": {"a": [["x=1"], ["x=1"]], "b": ["y=1"]}}, "differ between off and on"),
        ({"factors": {"a-b": ["x=1"], "b": ["y=1"]}}, "design.factors.a-b: expected a name"),
        ({"factors": {"baseline": ["x=1"], "b": ["y=1"]}}, "expected a name"),
        ({"factors": {"a": ["x.z=1"], "b": ["x/z=2"]}}, "a and b both set x.z"),
        (
            {"factors": {letter * 24: [f"{letter}=1"] for letter in "abc"}},
            "expected names that give cells of at most 60",
        ),
        ({"fraction": 3}, "design.fraction=3: expected a power of two"),
        ({"fraction": 4}, "design.fraction=4: expected at most 2 with 4 factors"),
        ({"fraction": 2, "resolution": 4}, "design.resolution=4: expected null"),
        ({"resolution": 2}, "design.resolution=2: expected 3 to 8"),
        ({"generators": ["d=-a*b*c"]}, "expected a fraction that has the baseline"),
        ({"generators": ["d=a*b"], "fraction": 4}, "design.generators"),
        ({"lr": "guess"}, "design.lr=guess: expected search, transfer or fixed"),
        ({"test": "z"}, "design.test=z"),
        ({"margin": -1.0}, "design.margin=-1.0"),
        (
            {"factors": {letter: [f"{letter}=1"] for letter in "abcdefgh"}},
            "expected at most 128 cells, found 256",
        ),
    ],
)
def test_what_makes_no_design_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        a_factorial(**changes)


def test_a_factorial_study_survives_a_file() -> None:
    manifest = a_manifest(a_factorial(factors=FIVE, fraction=2, test="auto"))
    read = Manifest.from_dict(json.loads(json.dumps(manifest.as_dict())))
    assert read == manifest and read.id == manifest.id
    assert read.factorial is not None and read.factorial.design == manifest.factorial.design  # type: ignore[union-attr]


def test_another_fraction_is_another_study() -> None:
    one, other = (a_manifest(a_factorial(lr=lr)) for lr in ("transfer", "search"))
    assert one.id != other.id


LEVELS = {"norm": (["model.norm=rms"], ["model.norm=none"]), "muon": ([], ["optim=muon"])}


def test_a_typed_setting_that_a_factor_replaces_is_noted() -> None:
    assert check_typed(LEVELS, ["optim=sgd", "training.steps=5"]) == [
        "optim=sgd does not apply where muon is on (optim=muon)"
    ]
    assert check_typed(LEVELS, ["model/norm=none"]) == [
        "model.norm=none does not apply where norm is off (model.norm=rms)"
    ]


def test_a_typed_setting_without_effect_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"model\.norm=post: this has no effect"):
        check_typed(LEVELS, ["model.norm=post"])
