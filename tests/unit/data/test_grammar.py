"""Parsing gives the probability of the choices that generated a text."""

from __future__ import annotations

import itertools
import math
import random

import pytest
from counting_chance import CountingChance

from lmlab.data.grammar import OneOf, Pick, Seq, as_node, derivations, maybe
from lmlab.data.stories import STORY
from lmlab.data.toystories import generate


def test_parsing_finds_exactly_the_choices_that_were_made() -> None:
    for seed in range(2000):
        chance = CountingChance(seed)
        story = generate(chance)
        found = derivations(STORY, story)
        assert len(found) == 1, f"ambiguous: {story}"
        assert found[0] == pytest.approx(chance.log_prob, abs=1e-9)


NAMES = [{"": "Al", "his": "his"}, {"": "Bo", "his": "her"}, {"": "Cy", "his": "its"}]


SMALL = Seq(
    Pick("hero", NAMES), " met ", Pick("friend", NAMES, but_not="hero"),
    maybe(0.25, " and {hero.his} dog"),
    OneOf((3, "."), (1, (" by ", OneOf((1, "car."), (2, "bus."))))),
)  # fmt: skip


def language() -> list[str]:
    pairs = itertools.permutations(NAMES, 2)
    ends = [".", " by car.", " by bus."]
    return [
        f"{hero['']} met {friend['']}{dog}{end}"
        for hero, friend in pairs
        for dog in ("", f" and {hero['his']} dog")
        for end in ends
    ]


def test_probabilities_of_all_texts_sum_to_one() -> None:
    probs = {text: [math.exp(value) for value in derivations(SMALL, text)] for text in language()}
    assert all(len(found) == 1 for found in probs.values())
    assert sum(found[0] for found in probs.values()) == pytest.approx(1.0)
    # 1/3 hero, 1/2 friend, 1/4 dog, 1/4 by, 2/3 bus
    assert probs["Bo met Al and her dog by bus."][0] == pytest.approx(1 / 3 / 2 / 4 / 4 * 2 / 3)
    for wrong in ("Al met Al.", "Al met Bo and her dog.", "Al met Bo", "Al met Bo. "):
        assert derivations(SMALL, wrong) == []


def test_random_texts_follow_the_probabilities() -> None:
    chance = random.Random(0)
    drawn = [as_node(SMALL).draw(chance, {}) for _ in range(4000)]
    assert set(drawn) == set(language())
    for text in ("Bo met Al.", "Al met Cy and his dog."):
        expected = math.exp(derivations(SMALL, text)[0])
        assert drawn.count(text) / 4000 == pytest.approx(expected, abs=0.02)
