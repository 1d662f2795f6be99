from __future__ import annotations

import itertools
import math
import random
import re
from pathlib import Path

import pytest

from lmlab.data import toystories
from lmlab.data.grammar import OneOf, Pick, Seq, WordForms, as_node, derivations, maybe
from lmlab.data.stories import STORY
from lmlab.data.story_words import ANIMALS, CHILDREN
from lmlab.data.toystories import SEPARATOR, documents, generate, log_prob, write_corpus
from lmlab.errors import DataError


class CountingChance(random.Random):
    """Sums the log-probabilities of the choices that it makes."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.log_prob = 0.0
        self.picked: list[WordForms] = []

    def choice(self, options):
        self.log_prob -= math.log(len(options))
        self.picked.append(super().choice(options))
        return self.picked[-1]

    def choices(self, nodes, weights=None, **other):
        (chosen,) = super().choices(range(len(nodes)), weights, **other)
        self.log_prob += math.log(weights[chosen] / sum(weights))
        return [nodes[chosen]]


def test_parsing_finds_the_choices_that_were_made_and_no_others() -> None:
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


def test_probabilities_of_a_whole_language_sum_to_one() -> None:
    probs = {text: [math.exp(value) for value in derivations(SMALL, text)] for text in language()}
    assert all(len(found) == 1 for found in probs.values())
    assert sum(found[0] for found in probs.values()) == pytest.approx(1.0)
    # 1/3 hero, 1/2 friend, 1/4 dog, 1/4 by, 2/3 bus
    assert probs["Bo met Al and her dog by bus."][0] == pytest.approx(1 / 3 / 2 / 4 / 4 * 2 / 3)
    for wrong in ("Al met Al.", "Al met Bo and her dog.", "Al met Bo", "Al met Bo. "):
        assert derivations(SMALL, wrong) == []


def test_drawing_follows_the_probabilities() -> None:
    chance = random.Random(0)
    drawn = [as_node(SMALL).draw(chance, {}) for _ in range(4000)]
    assert set(drawn) == set(language())
    for text in ("Bo met Al.", "Al met Cy and his dog."):
        expected = math.exp(derivations(SMALL, text)[0])
        assert drawn.count(text) / 4000 == pytest.approx(expected, abs=0.02)


def test_a_story_with_another_word_has_no_probability() -> None:
    story = generate(random.Random(1))
    log_prob(story)
    for wrong in (story + " ", story[:-1], story.replace(" the ", " The ", 1), ""):
        with pytest.raises(DataError, match="not a story of the grammar"):
            log_prob(wrong)


def test_any_word_may_be_changed_to_no_other() -> None:
    words = generate(random.Random(2)).split(" ")
    for place, word in enumerate(words):
        with pytest.raises(DataError, match="not a story of the grammar"):
            log_prob(" ".join([*words[:place], word + "x", *words[place + 1 :]]))
        with pytest.raises(DataError, match="not a story of the grammar"):
            log_prob(" ".join([*words[:place], *words[place + 1 :]]))


def words_of(text: str) -> set[str]:
    return set(re.findall(r"\w+", text))


@pytest.mark.parametrize("kind", [CHILDREN, ANIMALS])
def test_a_story_names_those_who_were_picked_and_nobody_else(kind: list[WordForms]) -> None:
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


def test_a_child_renamed_halfway_makes_no_story() -> None:
    """What was picked is remembered: a text that forgets it has no probability."""
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


def test_pronouns_are_those_of_the_child() -> None:
    girls = {child[""] for child in CHILDREN if child["he"] == "she"}
    for seed in range(300):
        story = generate(random.Random(seed))
        names = [child[""] for child in CHILDREN if child[""] in story.replace(".", " ").split()]
        if " was walking " in story and story.count(" heard ") == 1:
            hero = story.split(" was walking ")[0].split()[-1]
            he = story.split(" heard ")[0].split()[-1]
            assert he == ("she" if hero in girls else "he"), story
        assert names


def corpus(folder: Path, seed: int = 0):
    return write_corpus(folder, num_train=300, num_valid=100, seed=seed)


def test_splits_are_disjoint_and_the_floor_is_their_sum(tmp_path: Path) -> None:
    found = corpus(tmp_path)
    train, valid = (paths[0].read_text() for paths in (found.train_paths, found.valid_paths))
    assert len(documents(train)) == 300
    held_out = documents(valid)
    assert len(set(held_out)) == 100
    assert not set(held_out) & set(documents(train))
    assert found.floor is not None
    assert found.floor.nats == pytest.approx(-sum(log_prob(story) for story in held_out))
    assert found.floor.text_bytes == len(valid.replace("<|endoftext|>", "").encode())
    bits = found.floor.nats / math.log(2)
    assert found.floor.bits_per_byte == pytest.approx(bits / found.floor.text_bytes)
    assert valid.endswith(SEPARATOR)


def test_a_training_story_is_never_held_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Real stories hardly ever meet by chance; of these forty, half are in the training text.
    monkeypatch.setattr(toystories, "generate", lambda chance: f"story {chance.randrange(40)}")
    monkeypatch.setattr(toystories, "log_prob", lambda story: -1.0)
    found = write_corpus(tmp_path, num_train=30, num_valid=10, seed=0)
    train, valid = (documents(p[0].read_text()) for p in (found.train_paths, found.valid_paths))
    assert len(set(train)) < len(train) == 30
    assert len(set(valid)) == len(valid) == 10
    assert not set(train) & set(valid)


def test_the_same_seed_writes_the_same_text_once(tmp_path: Path) -> None:
    first, again = corpus(tmp_path / "a"), corpus(tmp_path / "b")
    assert (first.train_hash, first.valid_hash) == (again.train_hash, again.valid_hash)
    written = first.train_paths[0].stat().st_mtime_ns
    assert corpus(tmp_path / "a").train_paths[0].stat().st_mtime_ns == written
    other = corpus(tmp_path / "a", seed=1)
    assert other.train_hash != first.train_hash
    assert other.valid_hash != first.valid_hash
