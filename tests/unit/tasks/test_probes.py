"""Probes: the exact conditional scores the best possible, an untrained model scores chance."""

from __future__ import annotations

import dataclasses
import functools
import math
import random

import numpy as np
import pytest
from exact_story_model import START, ExactStoryModel

from lmlab.build import factory
from lmlab.build.run_spec import resolve
from lmlab.config.compose import compose
from lmlab.data.grammar import derivations
from lmlab.data.stories import SEPARATOR, STORY
from lmlab.data.story_probes import PROBES, ProbeItem, probe_items
from lmlab.data.toystories import generate
from lmlab.tasks.probe_scores import SCORES
from lmlab.tasks.probes import NO_PROBES, Probe, Probes, Question, load_probes
from lmlab.tasks.requests import Request
from lmlab.tasks.scorer import Score, Scorer
from lmlab.tokenizer import Tokenizer
from lmlab.tokenizer.bpe_training import train_bpe

LETTERS = Tokenizer({byte: bytes([byte]) for byte in range(256)}, [], ["<|endoftext|>"])


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    """A vocabulary that has learned most words of the stories."""
    chance, path = random.Random(0), tmp_path_factory.mktemp("text") / "train.txt"
    path.write_text("".join(generate(chance) + SEPARATOR for _ in range(400)))
    return train_bpe(path, 900, ["<|endoftext|>"])


@functools.cache
def items(num_items: int = 12) -> dict[str, list[ProbeItem]]:
    chance = random.Random(99)
    found = probe_items([generate(chance) for _ in range(3 * num_items)], num_items=num_items)
    return {
        probe: [dataclasses.replace(one, context=START + one.context) for one in of_probe]
        for probe, of_probe in found.items()
    }


@pytest.mark.parametrize("of_words", [True, False], ids=["words", "letters"])
def test_the_exact_model_has_the_probability_of_stories(of_words: bool, words: Tokenizer) -> None:
    tokenizer = words if of_words else LETTERS
    model, chance = ExactStoryModel(tokenizer), random.Random(5)
    for _ in range(3):
        story = generate(chance)
        ids, total = tokenizer.encode(START + story + "\n"), 0.0
        for length in range(len(tokenizer.encode(START)), len(ids)):
            following = model.next_tokens(tuple(ids[:length]))
            assert sum(following.values()) == pytest.approx(1.0)
            total += math.log(following[ids[length]])
        assert total == pytest.approx(derivations(STORY, story)[0], abs=1e-9)


@pytest.mark.parametrize("of_words", [True, False], ids=["words", "letters"])
def test_the_exact_conditional_scores_the_best_possible(of_words: bool, words: Tokenizer) -> None:
    tokenizer = words if of_words else LETTERS
    probes = load_probes(items(), tokenizer, 4096)
    model = ExactStoryModel(tokenizer)
    found = dict(probes.evaluate(Scorer(model, tokenizer)))  # type: ignore[arg-type]
    facts = probes.facts()
    assert facts is not None
    assert list(found) == [f"probes/{name}" for name in PROBES]
    for name, result in found.items():
        best = facts[name.removeprefix("probes/")]["best"]
        assert result.scores["accuracy"] == pytest.approx(best["accuracy"], abs=1e-12)
        assert result.scores["kl"] == pytest.approx(best["kl"], abs=1e-6)  # scored in float32
        assert result.scores["margin"] == math.inf
        assert result.scores["num_items"] == 12
    is_open = facts["plots"]["best"]["accuracy"] < 0.9  # where a plot may go on in several ways
    assert is_open or not of_words
    certain = [facts[name]["best"]["accuracy"] for name in PROBES if name != "plots"]
    assert certain == pytest.approx([1.0] * 5)


def test_a_model_that_forgets_scores_below_the_best(words: Tokenizer) -> None:
    class Forgetful(ExactStoryModel):
        """Mixes the truth with a uniform distribution."""

        def next_tokens(self, ids):  # type: ignore[no-untyped-def]
            exact = super().next_tokens(ids)
            return {
                token: 0.5 * exact.get(token, 0.0) + 0.5 / self.vocab_size
                for token in range(self.vocab_size)
            }

    probes = load_probes(items(4), words, 4096)
    for _, result in probes.evaluate(Scorer(Forgetful(words), words)):  # type: ignore[arg-type]
        assert 0 < result.scores["kl"] < 0.2
        assert 0 < result.scores["margin"] < math.inf


@pytest.mark.long
def test_an_untrained_model_scores_chance(words: Tokenizer) -> None:
    # Ten initializations; the answers of one model to different items are not independent.
    found: dict[str, list[float]] = {f"probes/{name}": [] for name in PROBES}
    settings = [f"model.vocab_size={words.vocab_size}", "model=nano", "model.context_length=128"]
    probes = load_probes(items(6), words, 128)
    facts = probes.facts() or {}
    for seed in range(10):
        spec = resolve(compose([*settings, f"seed={seed}"]))
        scorer = Scorer(factory.build_model(spec).eval(), words)
        for name, result in probes.evaluate(scorer):
            found[name].append(result.scores["accuracy"])
    for name, accuracies in found.items():
        chance = facts[name.removeprefix("probes/")]["chance"]
        assert 0.25 <= chance <= 0.5
        error = np.std(accuracies, ddof=1) / math.sqrt(10)
        assert abs(np.mean(accuracies) - chance) <= 3 * error, name


def question(truth: list[float], lengths: list[int], **changes: object) -> Question:
    requests = tuple(Request(np.arange(3), np.arange(length)) for length in lengths)
    whole = Question(requests, np.array(truth), False, 7, False)
    return dataclasses.replace(whole, **changes)  # type: ignore[arg-type]


def test_scores_by_hand() -> None:
    nats = np.log(np.array([0.3, 0.4, 0.2, 0.1]) / 10)  # other words have the rest
    open_one = question([0.6, 0.4, 0, 0], [1, 1, 1, 1])
    kl = 0.6 * math.log(0.6 / 0.3) + 0.4 * math.log(0.4 / 0.4)
    assert open_one.scores(nats) == pytest.approx(
        {"accuracy": 0.4, "margin": math.log(0.3 / 0.2), "kl": kl}
    )
    sure = question([1, 0, 0, 0], [1, 1, 1, 1])
    assert sure.scores(nats) == pytest.approx(
        {"accuracy": 0.0, "margin": math.log(0.3 / 0.4), "kl": -math.log(0.3)}
    )
    # Per token, the first of three tokens is better than the second of one; kl is of probabilities.
    longer = question([1, 0, 0, 0], [3, 1, 1, 1], is_per_token=True)
    assert longer.scores(nats) == pytest.approx(
        {"accuracy": 1.0, "margin": nats[0] / 3 - nats[1], "kl": -math.log(0.3)}
    )
    # Equal preferences are a guess between them, and do not depend on the order of answers.
    assert open_one.scores(np.full(4, -2.0))["accuracy"] == pytest.approx(0.25)
    assert open_one.scores(np.full(4, -2.0))["margin"] == 0
    diverged = open_one.scores(np.array([-1.0, math.nan, -2.0, -3.0]))
    assert all(math.isnan(value) for value in diverged.values())
    assert math.isnan(open_one.scores(np.full(4, -math.inf))["kl"])


def test_means_are_over_items_and_items_have_the_names_of_scores() -> None:
    probe = Probe("plots", (question([0.6, 0.4, 0], [1, 1, 1]), question([1, 0], [1, 1])))
    scores = [Score(np.array([value]), False) for value in (-1.0, -2.0, -3.0, -4.0, -1.0)]
    result = probe.result(scores)
    assert [row["accuracy"] for row in result.items] == [0.6, 0.0]
    assert [row["id"] for row in result.items] == [0, 1]
    assert result.scores["accuracy"] == pytest.approx(0.3)
    assert result.scores["margin"] == pytest.approx((2 - 3) / 2)
    for name in SCORES:
        assert result.scores[name] == pytest.approx(np.mean([row[name] for row in result.items]))
    assert probe.facts() == {
        "num_items": 2, "best": {"accuracy": 0.8, "kl": 0.0}, "chance": pytest.approx(5 / 12),
        "num_per_token": 0, "num_cut": 0,
    }  # fmt: skip


def item(right: str, others: list[str], probs: list[float]) -> ProbeItem:
    return ProbeItem(f"{START}Max", right, tuple(others), tuple(probs), 3)


def answers_of(one: Question) -> list[str]:
    return [LETTERS.decode(request.continuation.tolist()) for request in one.requests]


def test_answers_have_equal_numbers_of_tokens_where_the_vocabulary_allows() -> None:
    some = [
        item(" saw", [" is", " was", " had", " ate", " ran"], [0.5, 0.1, 0.1, 0, 0, 0]),
        item(" saw", [" ate", " looked", " is"], [0.5, 0.3, 0, 0]),  # only possible ones are alike
        item(" saw", [" is"], [1.0, 0]),
    ]
    alike, unlike, pair = load_probes({"x": some}, LETTERS, 64).probes[0].questions
    assert answers_of(alike) == [" saw", " was", " had", " ate"]
    assert alike.truth == pytest.approx([5 / 6, 1 / 6, 0, 0])
    assert not alike.is_per_token
    assert answers_of(unlike) == [" saw", " looked", " is"]
    assert (unlike.is_per_token, unlike.truth.tolist()) == (True, [1, 0, 0])
    assert (pair.is_per_token, answers_of(pair)) == (True, [" saw", " is"])
    assert alike.distance == 3


def test_items_that_do_not_fit_are_counted_or_left_out() -> None:
    some = {"x": [item(" saw", [" was"], [1, 0])], "none": [item(" looked", [" smiled"], [1, 0])]}
    length = len(LETTERS.encode(f"{START}Max")) + 3  # all inputs fit
    assert load_probes(some, LETTERS, length).facts()["x"]["num_cut"] == 0  # type: ignore[index]
    short = load_probes(some, LETTERS, 4)
    assert [(one.name, one.facts()["num_cut"]) for one in short.probes] == [("x", 1)]
    assert load_probes(some, LETTERS, 3) == Probes()
    assert NO_PROBES.facts() is None
