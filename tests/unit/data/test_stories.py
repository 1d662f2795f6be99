"""Only texts of the story grammar have a probability."""

from __future__ import annotations

import random

import pytest

from lmlab.data.toystories import generate, log_prob
from lmlab.errors import DataError


def test_a_story_with_another_word_has_no_probability() -> None:
    story = generate(random.Random(1))
    log_prob(story)
    for wrong in (story + " ", story[:-1], story.replace(" the ", " The ", 1), ""):
        with pytest.raises(DataError, match="not a story of the grammar"):
            log_prob(wrong)


def test_changing_any_word_leaves_no_story() -> None:
    words = generate(random.Random(2)).split(" ")
    for place, word in enumerate(words):
        with pytest.raises(DataError, match="not a story of the grammar"):
            log_prob(" ".join([*words[:place], word + "x", *words[place + 1 :]]))
        with pytest.raises(DataError, match="not a story of the grammar"):
            log_prob(" ".join([*words[:place], *words[place + 1 :]]))
