"""Two-level designs: worked examples from the literature, and properties of all of them."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from lmlab.design.two_level import (
    MOST_FACTORS,
    TwoLevelDesign,
    fraction,
    from_generators,
    full_design,
    members,
    of_resolution,
    order,
)
from lmlab.errors import ConfigError

LETTERS = "ABCDEFGH"


def named(design: TwoLevelDesign, effects: dict[int, int]) -> dict[str, int]:
    return {design.label(effect, ""): sign for effect, sign in effects.items()}


def effect(design: TwoLevelDesign, letters: str) -> int:
    return sum(1 << design.names.index(letter) for letter in letters)


def every_design() -> list[TwoLevelDesign]:
    designs = []
    for number in range(2, MOST_FACTORS + 1):
        designs.append(full_design(LETTERS[:number]))
        most = number - number.bit_length()
        designs += [fraction(LETTERS[:number], halvings) for halvings in range(1, most + 1)]
    return designs


EVERY = pytest.mark.parametrize(
    "design", every_design(), ids=lambda one: f"{len(one.names)}-{one.num_runs}"
)


def test_the_half_fraction_of_five_factors_by_hand() -> None:
    # Box, Hunter and Hunter (2005), section 6.5: 2^(5-1) with I = ABCDE.
    design = from_generators("ABCDE", ["E=A*B*C*D"])
    assert design.defining_relation("") == "I = ABCDE"
    assert design.resolution == 5
    plus = ["".join("+" if on else "-" for on in run) for run in design.runs]
    assert plus == [
        "----+", "+----", "-+---", "++--+", "--+--", "+-+-+", "-++-+", "+++--",
        "---+-", "+--++", "-+-++", "++-+-", "--+++", "+-++-", "-+++-", "+++++",
    ]  # fmt: skip
    expected = {
        "A": "BCDE", "B": "ACDE", "C": "ABDE", "D": "ABCE", "E": "ABCD", "AB": "CDE",
        "AC": "BDE", "AD": "BCE", "AE": "BCD", "BC": "ADE", "BD": "ACE", "BE": "ACD",
        "CD": "ABE", "CE": "ABD", "DE": "ABC",
    }  # fmt: skip
    found = {design.label(one, ""): named(design, design.aliases(one)) for one in design.effects}
    assert found == {one: {alias: 1} for one, alias in expected.items()}


def test_the_half_fraction_of_four_factors_by_hand() -> None:
    design = from_generators("ABCD", ["D=A*B*C"])
    assert design.defining_relation("") == "I = ABCD"
    assert design.resolution == 4
    assert named(design, design.aliases(effect(design, "AB"))) == {"CD": 1}
    assert named(design, design.aliases(effect(design, "D"))) == {"ABC": 1}


def test_the_sixteenth_of_seven_factors_by_hand() -> None:
    # Box, Hunter and Hunter (2005), section 6.1: seven factors in eight runs, saturated.
    generators = ["D=A*B", "E=A*C", "F=B*C", "G=A*B*C"]
    design = from_generators("ABCDEFG", generators)
    assert design.resolution == 3
    assert design.pattern == (0, 0, 7, 7, 0, 0, 1)
    assert [design.label(one, "") for one in design.effects] == list("ABCDEFG")
    with_a = named(design, design.aliases(effect(design, "A")))
    assert {alias: sign for alias, sign in with_a.items() if len(alias) == 2} == {
        "BD": 1, "CE": 1, "FG": 1,
    }  # fmt: skip
    assert fraction("ABCDEFG", 4).pattern == design.pattern


def test_signs_of_generators_reverse_the_aliases() -> None:
    design = from_generators("ABCDE", ["E=-A*B*C*D"])
    assert design.defining_relation("") == "I = -ABCDE"
    assert design.runs[0] == (False,) * 5
    assert named(design, design.aliases(effect(design, "AB"))) == {"CDE": -1}
    assert design.runs == fraction("ABCDE", 1).runs


# Word-length patterns from length 3 on: Fries and Hunter (1980); Chen, Sun and Wu (1993, Int. Stat.
# Rev. 61(1), table 1).
@pytest.mark.parametrize(
    ("number", "halvings", "pattern"),
    [
        (3, 1, (1,)),
        (4, 1, (0, 1)),
        (5, 1, (0, 0, 1)),
        (5, 2, (2, 1, 0)),
        (6, 1, (0, 0, 0, 1)),
        (6, 2, (0, 3, 0, 0)),
        (6, 3, (4, 3, 0, 0)),
        (7, 1, (0, 0, 0, 0, 1)),
        (7, 2, (0, 1, 2, 0, 0)),
        (7, 3, (0, 7, 0, 0, 0)),
        (7, 4, (7, 7, 0, 0, 1)),
        (8, 2, (0, 0, 2, 1, 0, 0)),
        (8, 3, (0, 3, 4, 0, 0, 0)),
        (8, 4, (0, 14, 0, 0, 0, 1)),
    ],
)
def test_fractions_have_the_published_minimum_aberration(
    number: int, halvings: int, pattern: tuple[int, ...]
) -> None:
    assert fraction(LETTERS[:number], halvings).pattern[2:] == pattern


@EVERY
def test_runs_differ_and_the_first_has_all_factors_off(design: TwoLevelDesign) -> None:
    assert len(set(design.runs)) == len(design.runs) == design.num_runs
    assert design.runs[0] == (False,) * len(design.names)


@EVERY
def test_contrasts_are_orthogonal_and_those_of_aliases_equal(design: TwoLevelDesign) -> None:
    contrasts = {one: design.contrast(one) for one in range(1 << len(design.names))}
    columns = np.array([contrasts[one] for one in (0, *design.effects)])
    assert np.array_equal(columns @ columns.T, design.num_runs * np.eye(design.num_runs))
    for one in design.effects:
        for alias, sign in design.aliases(one).items():
            assert contrasts[alias] == [sign * each for each in contrasts[one]]


@EVERY
def test_the_resolution_is_the_length_of_the_shortest_constant_product(
    design: TwoLevelDesign,
) -> None:
    products = [one for one in range(1, 1 << len(design.names))
                if len(set(design.contrast(one))) == 1]  # fmt: skip
    assert sorted(products) == sorted(design.words)
    assert design.resolution == min(map(order, products), default=None)
    assert all(design.contrast(word)[0] == sign for word, sign in design.words.items())


@EVERY
def test_main_effects_are_clear_of_each_other_on_the_orthogonal_subset(
    design: TwoLevelDesign,
) -> None:
    subset = design.orthogonal_subset
    assert subset[0] == 0
    assert len(set(subset)) == len(subset) >= 1 << len(design.names).bit_length()
    columns = [[1 if design.runs[run][factor] else -1 for run in subset]
               for factor in range(len(design.names))]  # fmt: skip
    assert all(sum(column) == 0 for column in columns)
    for left, right in itertools.combinations(columns, 2):
        assert sum(a * b for a, b in zip(left, right, strict=True)) == 0


@EVERY
def test_a_shift_of_the_subset_reaches_no_effect_of_low_order(design: TwoLevelDesign) -> None:
    # Runs of the subset may all be a little better: their learning rates are searched.
    subset = set(design.orthogonal_subset)
    shift = [float(run in subset) for run in range(design.num_runs)]
    for one in design.effects:
        mean = sum(s * x for s, x in zip(shift, design.contrast(one), strict=True))
        if mean:
            assert len(subset) < design.num_runs
            aliases = [one, *design.aliases(one)]
            assert min(map(order, aliases)) >= 3


@pytest.mark.parametrize(
    ("design", "size"),
    [
        (full_design("ABC"), 4),
        (full_design("ABCD"), 8),
        (full_design("ABCDEFG"), 8),
        (fraction("ABCDE", 1), 16),  # of any half, two of the words have lengths that add up to 5
        (fraction("ABCDEF", 1), 16),
    ],
)
def test_the_orthogonal_subset_is_as_small_as_it_can_be(design: TwoLevelDesign, size: int) -> None:
    assert len(design.orthogonal_subset) == size


def test_the_subset_of_four_factors_keeps_interactions_out_of_main_effects() -> None:
    design = full_design("ABCD")
    for factor, pair in itertools.product(range(4), itertools.combinations(range(4), 2)):
        products = [
            sum(design.runs[run][each] for each in (factor, *pair)) % 2
            for run in design.orthogonal_subset
        ]
        assert 0 < sum(products) < 8 or factor in pair


def test_the_smallest_fraction_of_a_resolution() -> None:
    assert of_resolution("ABCDE", 5).num_runs == 16
    assert of_resolution("ABCDE", 4).num_runs == 16
    assert of_resolution("ABCDE", 3).num_runs == 8
    assert of_resolution("ABCD", 5).num_runs == 16  # none but the full design
    assert of_resolution("ABCDEFGH", 4).num_runs == 16


def test_effects_name_their_factors() -> None:
    design = full_design(["norm", "pos", "muon"])
    assert design.label(0b101) == "norm x muon"
    assert members(0b101) == [0, 2]
    assert [design.label(one) for one in design.low_order_effects] == [
        "norm", "pos", "muon", "norm x pos", "norm x muon", "pos x muon",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("generators", "message"),
    [
        (["E"], "design.generators: E: expected a factor as a product"),
        (["E=A*X"], "found X"),
        (["X=A*B"], "found X"),
        (["D=A*B", "E=A*D"], "found D"),
        (["E=A"], "expected main effects that are clear of each other"),
        (["D=A*B", "E=A*B"], "expected main effects that are clear of each other"),
        (["E=A*A"], "expected main effects that are clear of each other"),
    ],
)
def test_wrong_generators_are_refused(generators: list[str], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        from_generators("ABCDE", generators)
    assert message in caught.value.message
    assert caught.value.help


def test_a_fraction_that_confounds_main_effects_is_refused() -> None:
    with pytest.raises(ConfigError, match="expected at most 4 with 5 factors"):
        fraction("ABCDE", 3)
