"""Questions about held-out stories of the grammar, whose exact answers are known.

An item of a probe is the beginning of a held-out story, the continuation that the story has there,
and other continuations. The grammar gives the exact probability of each. Items are text, and do not
depend on a tokenizer.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import random
import re
from collections.abc import Callable, Iterator, Mapping, Sequence

from lmlab.data import story_words as words
from lmlab.data.grammar import Mention, WordForms
from lmlab.data.prefix_probability import Prefix
from lmlab.data.stories import DOCUMENT, SEPARATOR

# With the default vocabulary about 110 tokens, which fit the default context with an answer.
MAX_CONTEXT_CHARACTERS = 480
_MAX_OTHERS = 8
_NEAR, _FAR = 12, 20  # words since a child was last named
_OTHER_GENDER = {
    "he": {"he": "she", "she": "he"}, "He": {"He": "She", "She": "He"},
    "him": {"him": "her", "her": "him"}, "his": {"his": "her", "her": "his"},
}  # fmt: skip
_OBJECTS: Mapping[str, Sequence[WordForms]] = {
    "toy": words.TOYS, "animal": words.ANIMALS, "dish": words.DISHES, "food": words.FOODS,
    "one": words.INGREDIENTS, "two": words.INGREDIENTS,
}  # fmt: skip
_CHILDREN = ("hero", "friend")
_SENTENCE_START = re.compile(r'(?<=[.!?"]) (?=[A-Z"])')
_TWO_PIECES = re.compile(r"(?: ?\w+| ?[^\w\s]+){2}")


@dataclasses.dataclass(frozen=True)
class ProbeItem:
    """One question.

    Attributes:
        context: the beginning of a story.
        right: what the story says next.
        others: what a model might say instead, the most instructive first.
        probs: exact probability, under the process that generated the story, that ``right`` and
            each of ``others`` follows ``context``.
        distance: words of the context since the answer was last given: since the child, the object
            or the colour was last named, or the one for whom a pronoun stands. In the order of
            plots, all words of the context.
    """

    context: str
    right: str
    others: tuple[str, ...]
    probs: tuple[float, ...]
    distance: int


@dataclasses.dataclass(frozen=True)
class _Question:
    """A place in a story where an answer is known; ``others`` finds wrong ones, best first."""

    start: int
    right: str
    others: Callable[[Prefix, random.Random], list[str]]
    distance: int


class _Story:
    """A held-out story and what it mentions."""

    def __init__(self, text: str) -> None:
        self.text = text
        # Sentence by sentence, so that an item's context is found from the sentence before it.
        self.prefixes = [Prefix.empty(DOCUMENT)]
        for found in _SENTENCE_START.finditer(text):
            self.prefixes.append(self.prefix(found.start()))
        self.mentions = (
            self.prefixes[-1].extend((text + SEPARATOR)[len(self.prefixes[-1].text) :]).mentions()
        )

    def prefix(self, end: int) -> Prefix:
        """Return the first ``end`` characters as a prefix of the grammar."""
        before = max(
            (one for one in self.prefixes if len(one.text) <= end), key=lambda one: len(one.text)
        )
        return before.extend(self.text[len(before.text) : end])

    def recalled(self, roles: Sequence[str], form: str = "") -> Iterator[Mention]:
        """Yield the mentions of options that were picked before."""
        for mention in self.mentions:
            if mention.role in roles and mention.form == form and not mention.is_pick:
                yield mention

    def before(self, mention: Mention, roles: Sequence[str]) -> list[Mention]:
        """Return the earlier mentions of these roles by noun or name, the last one first."""
        earlier = [one for one in self.mentions if one.role in roles and one.start < mention.start]
        return [one for one in earlier[::-1] if one.form not in _OTHER_GENDER]

    def words_since(self, before: Sequence[Mention], start: int) -> int:
        """Return the number of words from the first of ``before`` to ``start``."""
        end = before[0].start + len(before[0].words) if before else 0
        return len(self.text[end:start].split())

    def recall(self, mention: Mention, options: Sequence[str], roles: Sequence[str]) -> _Question:
        """Ask for an option that was picked before; those that the story names distract most."""
        before = self.before(mention, roles)
        named = [name for one in before for name in options if name in one.words.split()]
        same = [one for one in before if mention.words in one.words.split()]

        def others(_: Prefix, chance: random.Random) -> list[str]:
            absent = [name for name in options if name not in named]
            chance.shuffle(absent)
            wrong = [name for name in dict.fromkeys([*named, *absent]) if name != mention.words]
            return [f" {name}" for name in wrong]

        distance = self.words_since(same, mention.start)
        return _Question(mention.start - 1, f" {mention.words}", others, distance)


def _names(story: _Story) -> Iterator[_Question]:
    options = [child[""] for child in words.CHILDREN]
    for mention in story.recalled(_CHILDREN):
        yield story.recall(mention, options, _CHILDREN)


def _near_names(story: _Story) -> Iterator[_Question]:
    """Name of a child that was named a few words ago; the other child of the story distracts."""
    return (one for one in _names(story) if one.distance <= _NEAR)


def _far_names(story: _Story) -> Iterator[_Question]:
    """Name of a child that was named many words ago; the other child of the story distracts."""
    return (one for one in _names(story) if one.distance >= _FAR)


def _pronouns(story: _Story) -> Iterator[_Question]:
    """Pronoun of a child or grown-up, which depends on the name or noun."""
    for form, swapped in _OTHER_GENDER.items():
        for mention in story.recalled(("hero", "grown"), form):
            named = story.before(mention, [mention.role])
            distance = story.words_since(named, mention.start)
            others = functools.partial(_always, [f" {swapped[mention.words]}"])
            yield _Question(mention.start - 1, f" {mention.words}", others, distance)


def _always(answers: list[str], prefix: Prefix, chance: random.Random) -> list[str]:
    return answers


def _objects(story: _Story) -> Iterator[_Question]:
    """Toy, animal, dish or food that the story is about."""
    for role, picks in _OBJECTS.items():
        options = [pick[""] for pick in picks]
        roles = [other for other, same in _OBJECTS.items() if same is picks]
        for mention in story.recalled([role]):
            yield story.recall(mention, options, roles)


def _colours(story: _Story) -> Iterator[_Question]:
    """Colour of the toy."""
    options = [colour[""] for colour in words.COLOURS]
    for mention in story.recalled(["colour"]):
        yield story.recall(mention, options, ["colour"])


def _plots(story: _Story) -> Iterator[_Question]:
    """Beginning of the sentence that comes next in the plot, or begins another of the story.

    Where the plot may go on in several ways, the likeliest other one is among the answers. No
    answer introduces a child: which name it gets is no matter of order.
    """
    places = [found.start() for found in _SENTENCE_START.finditer(story.text)]
    starts = [_TWO_PIECES.match(story.text, place) for place in places]
    beginnings = [found[0] if found else "" for found in starts]

    picks = {one.start for one in story.mentions if one.is_pick}
    children = {child[""] for child in words.CHILDREN}
    for place, right in zip(places[1:], beginnings[1:], strict=True):
        if picks.intersection(range(place, place + len(right))):
            continue

        def others(prefix: Prefix, chance: random.Random, right: str = right) -> list[str]:
            possible = prefix.next_pieces(2)
            ways = sorted(possible, key=lambda way: (-possible[way], way))
            new = children - set(re.findall(r"\w+", prefix.text))
            ways = [way for way in ways if way != right and "\n" not in way]
            ways = [way for way in ways if new.isdisjoint(way.split())]
            elsewhere = [one for one in dict.fromkeys(beginnings) if one and one not in possible]
            chance.shuffle(elsewhere)
            return [*ways[:1], *elsewhere, *ways[1:]] if elsewhere else []

        yield _Question(place, right, others, len(story.text[:place].split()))


PROBES: Mapping[str, Callable[[_Story], Iterator[_Question]]] = {
    "names_near": _near_names, "names_far": _far_names, "pronouns": _pronouns,
    "objects": _objects, "colours": _colours, "plots": _plots,
}  # fmt: skip


def probe_items(
    stories: Sequence[str], *, num_items: int, seed: int = 0
) -> dict[str, list[ProbeItem]]:
    """Return the items of each probe: at most one of a story, so that they are nearly independent.

    The first stories are used, as many as are needed. Which place of a story an item asks about
    depends on the story, the probe and the seed alone.

    Args:
        stories: held-out stories, without separators.
        num_items: items per probe; fewer if the stories do not have so many.
        seed: of the choice.
    """
    found: dict[str, list[ProbeItem]] = {probe: [] for probe in PROBES}
    for text in stories:
        wanted = [probe for probe, items in found.items() if len(items) < num_items]
        if not wanted:
            break
        story = _Story(text)
        for probe in wanted:
            item = _choose(story, probe, random.Random(f"{probe}:{seed}:{text}"))
            if item is not None:
                found[probe].append(item)
    return found


def _choose(story: _Story, probe: str, chance: random.Random) -> ProbeItem | None:
    """Return one of a story's items of a probe; None if it has none."""
    questions = [one for one in PROBES[probe](story) if one.start <= MAX_CONTEXT_CHARACTERS]
    if not questions:
        return None
    question = chance.choice(questions)
    prefix = story.prefix(question.start)
    others = question.others(prefix, chance)[:_MAX_OTHERS]
    if not others:
        return None
    answers = (question.right, *others)
    probs = tuple(math.exp(prefix.log_prob_of(answer)) for answer in answers)
    return ProbeItem(prefix.text, question.right, tuple(others), probs, question.distance)
