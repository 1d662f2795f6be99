"""Names and pronouns in a story agree."""

from __future__ import annotations

import random
import re

import pytest
from counting_chance import CountingChance

from lmlab.data.grammar import WordForms
from lmlab.data.story_words import ANIMALS, CHILDREN
from lmlab.data.toystories import generate, log_prob
from lmlab.errors import DataError


def words_of(text: str) -> set[str]:
    return set(re.findall(r"\w+", text))


@pytest.mark.parametrize("kind", [CHILDREN, ANIMALS])
def test_a_story_names_only_the_picked_options(kind: list[WordForms]) -> None:
    every = {option[""] for option in kind}
    seen = set()
    for seed in range(500):
        chance = CountingChance(seed)
        story = generate(chance)
        picked = [option[""] for option in chance.picked if option in kind]
        assert words_of(story) & every == set(picked), story
        if kind is CHILDREN:
            assert picked[0] not in picked[1:], f"their own friend: {story}"
        seen.update(picked)
    assert seen == every


def test_renaming_a_child_halfway_leaves_no_story() -> None:
    """A picked option is remembered: a text that uses another has no probability."""
    tried = 0
    for seed in range(50):
        story = generate(random.Random(seed))
        (hero, *_) = sorted(words_of(story) & {child[""] for child in CHILDREN}, key=story.index)
        other = next(child[""] for child in CHILDREN if child[""] not in story)
        places = [match.start() for match in re.finditer(rf"\b{hero}\b", story)]
        for place in places if len(places) > 1 else []:
            tried += 1
            with pytest.raises(DataError, match="not a story of the grammar"):
                log_prob(story[:place] + other + story[place + len(hero) :])
    assert tried > 50


def test_pronouns_agree_with_the_child() -> None:
    girls = {child[""] for child in CHILDREN if child["he"] == "she"}
    for seed in range(300):
        story = generate(random.Random(seed))
        names = [child[""] for child in CHILDREN if child[""] in story.replace(".", " ").split()]
        if " was walking " in story and story.count(" heard ") == 1:
            hero = story.split(" was walking ")[0].split()[-1]
            he = story.split(" heard ")[0].split()[-1]
            assert he == ("she" if hero in girls else "he"), story
        assert names
