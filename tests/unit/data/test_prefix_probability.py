"""Exact probabilities of what follows, against enumeration, sampling and parsing of whole texts."""

from __future__ import annotations

import itertools
import math
import random
from pathlib import Path

import pytest

from lmlab.data.grammar import OneOf, Pick, Seq, derivations, maybe
from lmlab.data.prefix_probability import END, Prefix
from lmlab.data.stories import DOCUMENT, SEPARATOR, STORY
from lmlab.data.toystories import documents, generate, write_corpus

NAMES = [{"": "Al", "his": "his"}, {"": "Alma", "his": "her"}, {"": "Bo", "his": "its"}]
# Prefixes are ambiguous: "Al" may be a name or begin one, and "." may end a text or not.
SMALL = Seq(
    Pick("hero", NAMES), " met ", Pick("friend", NAMES, but_not="hero"),
    maybe(0.25, " and {hero.his} dog"),
    OneOf((3, "."), (1, (" by ", OneOf((1, "car."), (2, "bus. Really."), (2, "bus."))))),
)  # fmt: skip


def language() -> dict[str, float]:
    """Every text of the small grammar with its probability, written out by hand."""
    found = {}
    for hero, friend in itertools.permutations(NAMES, 2):
        for dog, of_dog in (("", 0.75), (f" and {hero['his']} dog", 0.25)):
            for end, of_end in (
                (".", 3 / 4), (" by car.", 1 / 20),
                (" by bus. Really.", 1 / 10), (" by bus.", 1 / 10),
            ):  # fmt: skip
                found[f"{hero['']} met {friend['']}{dog}{end}"] = 1 / 6 * of_dog * of_end
    return found


def prefixes_of(texts: dict[str, float]) -> set[str]:
    return {text[:length] for text in texts for length in range(len(text) + 1)}


def test_the_probability_of_each_prefix_is_the_sum_over_the_texts_that_begin_so() -> None:
    texts = language()
    assert sum(texts.values()) == pytest.approx(1.0)
    for start in prefixes_of(texts):
        expected = sum(prob for text, prob in texts.items() if text.startswith(start))
        found = Prefix.empty(SMALL).extend(start)
        assert math.exp(found.log_prob) == pytest.approx(expected), start
        halves = Prefix.empty(SMALL).extend(start[:4]).extend(start[4:])
        assert halves.log_prob == pytest.approx(found.log_prob)


def test_next_characters_are_those_of_all_texts_in_their_shares() -> None:
    texts = language()
    for start in prefixes_of(texts):
        shares: dict[str, float] = {}
        for text, prob in texts.items():
            if text.startswith(start):
                char = text[len(start) : len(start) + 1]
                shares[char] = shares.get(char, 0.0) + prob
        total = sum(shares.values())
        found = Prefix.empty(SMALL).extend(start).next_characters()
        assert found == pytest.approx({char: prob / total for char, prob in shares.items()}), start


def test_next_pieces_end_where_a_word_ends() -> None:
    start = Prefix.empty(SMALL)
    assert start.next_pieces() == pytest.approx({"Al": 1 / 3, "Alma": 1 / 3, "Bo": 1 / 3})
    # Alone, "Al" also begins "Alma".
    assert math.exp(start.log_prob_of("Al")) == pytest.approx(2 / 3)
    bus = start.extend("Bo met Al by")
    assert bus.next_pieces() == pytest.approx({" car": 1 / 5, " bus": 4 / 5})
    # "by bus." may be followed by more, but it is one sequence of two pieces.
    assert bus.next_pieces(2) == pytest.approx({" car.": 1 / 5, " bus.": 4 / 5})
    assert bus.next_pieces(3) == pytest.approx(
        {" car.": 1 / 5, " bus.": 2 / 5, " bus. Really": 2 / 5}
    )
    assert start.extend("Bo met Al by car.").next_pieces() == {END: 1.0}


def test_what_is_impossible_has_probability_zero_and_nothing_after_it() -> None:
    wrong = Prefix.empty(SMALL).extend("Bo met Bo")
    assert wrong.log_prob == -math.inf
    assert wrong.extend(".").log_prob == -math.inf
    assert Prefix.empty(SMALL).extend("Bo met ").log_prob_of("Bo") == -math.inf
    for ask in (wrong.next_characters, wrong.next_pieces, lambda: wrong.log_prob_of(".")):
        with pytest.raises(ValueError, match="no text of the grammar begins so"):
            ask()
    with pytest.raises(ValueError, match="found 0"):
        wrong.mentions()


def test_characters_of_stories_sum_to_one_and_multiply_to_the_story() -> None:
    chance = random.Random(3)
    for _ in range(10):
        story = generate(chance)
        prefix, total = Prefix.empty(DOCUMENT), 0.0
        for char in story + SEPARATOR:
            shares = prefix.next_characters()
            assert math.fsum(shares.values()) == pytest.approx(1.0, abs=1e-12)
            total += math.log(shares[char])
            prefix = prefix.extend(char)
        assert prefix.next_characters() == {END: 1.0}
        (parsed,) = derivations(STORY, story)
        assert total == pytest.approx(parsed, abs=1e-9)


def test_held_out_stories_have_the_probability_that_the_corpus_reports(tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path, num_train=50, num_valid=40, seed=5)
    start, nats = Prefix.empty(DOCUMENT), 0.0
    (path,) = tmp_path.glob("toystories/*/valid.txt")
    for story in documents(path.read_text()):
        middle = start.extend(story[: len(story) // 2])
        nats -= middle.log_prob + middle.log_prob_of(story[len(story) // 2 :] + SEPARATOR)
    assert corpus.floor is not None
    assert nats == pytest.approx(corpus.floor.nats, rel=1e-12)


def test_stories_go_on_as_often_as_their_prefixes_say() -> None:
    # After the third sentence of each story; all events of similar probability are counted.
    chance = random.Random(7)
    expected, variance, observed = [0.0] * 10, [0.0] * 10, [0] * 10
    for _ in range(400):
        story = generate(chance)
        place = [index for index, char in enumerate(story) if char == "."][2] + 1
        pieces = Prefix.empty(DOCUMENT).extend(story[:place]).next_pieces(2)
        assert sum(pieces.values()) == pytest.approx(1.0)
        follows = max((one for one in pieces if story.startswith(one, place)), key=len)
        for piece, prob in pieces.items():
            group = min(9, int(10 * prob))
            expected[group] += prob
            variance[group] += prob * (1 - prob)
            observed[group] += piece == follows
    assert sum(value > 20 for value in expected) >= 4
    for group in range(10):
        deviation = abs(observed[group] - expected[group])
        assert deviation <= 4 * math.sqrt(variance[group]) + 1e-9, group


def test_mentions_say_who_is_meant_where() -> None:
    story = Prefix.empty(SMALL).extend("Bo met Alma and its dog.")
    found = [(one.start, one.role, one.form, one.words, one.is_pick) for one in story.mentions()]
    assert found == [
        (0, "hero", "", "Bo", True), (7, "friend", "", "Alma", True),
        (16, "hero", "his", "its", False),
    ]  # fmt: skip
    assert len(Prefix.empty(SMALL).extend("Bo met Alma and i").mentions()) == 2
    with pytest.raises(ValueError, match="found 2"):
        Prefix.empty(SMALL).extend("Al").mentions()
