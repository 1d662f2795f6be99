"""Items ask about held-out stories, and know the exact probability of each answer."""

from __future__ import annotations

import functools
import random

import pytest

from lmlab.data import story_words as words
from lmlab.data.prefix_probability import Prefix
from lmlab.data.stories import DOCUMENT
from lmlab.data.story_probes import (
    MAX_CONTEXT_CHARACTERS,
    PROBES,
    ProbeItem,
    probe_items,
)
from lmlab.data.toystories import generate

NAMES = {child[""] for child in words.CHILDREN}


@functools.cache
def stories() -> tuple[str, ...]:
    chance = random.Random(11)
    return tuple(generate(chance) for _ in range(120))


@functools.cache
def items() -> dict[str, list[ProbeItem]]:
    return probe_items(stories(), num_items=30)


def test_each_probe_asks_about_the_first_stories_once_each() -> None:
    assert list(items()) == list(PROBES)
    for probe, found in items().items():
        assert len(found) == 30, probe
        owners = [
            [at for at, story in enumerate(stories()) if story.startswith(one.context + one.right)]
            for one in found
        ]
        firsts = [owner[0] for owner in owners]
        assert all(owners)
        assert firsts == sorted(firsts)
        for one in found:
            assert len(one.context) <= MAX_CONTEXT_CHARACTERS
            assert len(one.others) == len(set(one.others)) >= 1
            assert one.right not in one.others
            assert len(one.probs) == 1 + len(one.others)
            assert one.probs[0] > 0


def test_items_depend_on_their_story_alone() -> None:
    again = probe_items(stories(), num_items=30)
    assert again == items()
    later = probe_items(stories()[105:], num_items=40)
    whole = probe_items(stories()[90:], num_items=60)
    for probe in PROBES:
        assert later[probe] == whole[probe][-len(later[probe]) :]
    other = probe_items(stories(), num_items=30, seed=1)
    assert any(other[probe] != items()[probe] for probe in PROBES)


def test_probabilities_are_those_of_words_that_end_where_the_answer_ends() -> None:
    # The probability of " he" is not that of " he" or " her".
    for found in items().values():
        for one in found:
            num_pieces = 2 if one in items()["plots"] else 1
            exact = Prefix.empty(DOCUMENT).extend(one.context).next_pieces(num_pieces)
            for answer, prob in zip((one.right, *one.others), one.probs, strict=True):
                assert prob == pytest.approx(exact.get(answer, 0.0), abs=1e-12), answer


def test_what_the_story_has_said_leaves_one_answer_except_in_plots() -> None:
    for probe, found in items().items():
        for one in found:
            if probe == "plots":
                assert 0.0 in one.probs[1:]  # a sentence of the story that has another place
            else:
                assert not any(one.probs[1:])
    open_ones = [one for one in items()["plots"] if any(one.probs[1:])]
    assert len(open_ones) > 15
    # Some stories go on as the likelier alternative says, and some do not.
    assert len({one.probs[0] >= max(one.probs[1:]) for one in open_ones}) == 2


def test_names_are_confused_with_the_other_child_first() -> None:
    for probe in ("names_near", "names_far"):
        with_two = 0
        for one in items()[probe]:
            named = {word.strip('.,!?"') for word in one.context.split()} & NAMES
            others = [name.strip() for name in one.others]
            assert one.right.strip() in named
            assert set(others) <= NAMES
            rivals = named - {one.right.strip()}
            assert set(others[: len(rivals)]) == rivals
            with_two += bool(rivals)
        assert with_two > 3
    near, far = items()["names_near"], items()["names_far"]
    assert max(one.distance for one in near) < min(one.distance for one in far)


def test_distance_counts_the_words_since_the_name() -> None:
    for probe in ("names_near", "names_far"):
        for one in items()[probe]:
            last = one.context.rindex(one.right.strip())
            between = one.context[last:].split()
            assert one.distance in (len(between) - 1, len(between))


def test_pronouns_follow_the_name_of_the_last_child_or_grown_up() -> None:
    gender = {child[""]: child["He"] for child in words.CHILDREN}
    swaps = {"he": "she", "she": "he", "He": "She", "She": "He", "his": "her", "him": "her"}
    for one in items()["pronouns"]:
        right, wrong = one.right.strip(), one.others[0].strip()
        assert swaps.get(right, wrong) == wrong
        if right == "her":
            assert wrong in ("him", "his")
        hero = next(name for name in one.context.replace(".", " .").split() if name in NAMES)
        if "When you are afraid" not in one.context[-90:]:  # there a grown-up is speaking
            assert (right in ("he", "He", "his", "him")) == (gender[hero] == "He")


def test_order_of_a_plot_told_by_hand() -> None:
    story = (
        "Everybody in the village knew Tess. Tess went to play on the hill with a red kite. "
        'Soon Max came too. "May I play with your kite?" asked Max. "No, it is mine," said '
        "Tess. Max was sad and sat down alone. After a while Tess felt sorry. She went over "
        "and gave Max the kite. Both children were glad."
    )
    asked = {}
    for seed in range(60):
        (one,) = probe_items([story], num_items=1, seed=seed)["plots"]
        asked[one.right] = one
    assert " Soon Max" not in asked  # a new name is no matter of order
    # The friend asks to play (2 of 3), or looks at the toy; then 'No' (2 of 3), or Tess holds it.
    may_i, no, after = asked[' "May'], asked[' "No'], asked[" After a"]
    assert (may_i.probs[0], may_i.others[0], may_i.probs[1]) == pytest.approx(
        (2 / 3, " Max looked", 1 / 3)
    )
    assert (no.probs[0], no.others[0]) == pytest.approx((2 / 3, " Tess held"))
    assert after.probs[0] == pytest.approx(2 / 5)
    assert after.others[0] == " But playing"
    elsewhere = {" Soon Max", ' "May', ' "No', " Tess went", " Both children", "Everybody in"}
    assert set(after.others[1:]) & elsewhere
    assert asked[" Max was"].probs[0] == pytest.approx(1.0)
    assert not any(asked[" Max was"].probs[1:])


def test_few_stories_give_few_items() -> None:
    assert all(len(found) <= 2 for found in probe_items(stories()[:2], num_items=30).values())
    assert probe_items([], num_items=30) == {probe: [] for probe in PROBES}
