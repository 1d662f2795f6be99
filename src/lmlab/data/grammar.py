"""Probabilistic grammars that generate text and compute its probability.

Build a grammar from :class:`Say`, :class:`Pick`, :class:`OneOf` and :class:`Seq`. Generation makes
a choice at each ``Pick`` and ``OneOf``. The probability of a text is found by parsing it: it is the
product of the probabilities of the choices that lead to it. :mod:`lmlab.data.prefix_probability`
computes the probability of what follows the beginning of a text.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

WordForms = Mapping[str, str]  # forms of an option: "" for itself, "he", "his", ...
Memory = Mapping[str, WordForms]  # options picked so far, by role


class Mention(NamedTuple):
    """A form of an option in a text.

    Attributes:
        start: index of its first character.
        role: of the option.
        form: of the option that is said.
        words: what is said.
        is_pick: whether the option is picked here; otherwise it was picked before.
    """

    start: int
    role: str
    form: str
    words: str
    is_pick: bool


class Expansion(NamedTuple):
    """One way to expand a part of a grammar from the left.

    Attributes:
        log_prob: of this choice, in nats.
        words: what it says first.
        then: the parts that follow, in order.
        memory: the options picked so far.
        mentions: the options in ``words``.
    """

    log_prob: float
    words: str
    then: tuple[Node, ...]
    memory: Memory
    mentions: tuple[Mention, ...] = ()


class Node(Protocol):
    """A part of a grammar."""

    def draw(self, chance: random.Random, memory: dict[str, WordForms]) -> str:
        """Return a random text, and record the picked options in ``memory``."""
        ...

    def parse(self, text: str, start: int, memory: Memory) -> Iterator[tuple[int, Memory, float]]:
        """Yield end, memory and log-probability in nats of each parse from ``start``."""
        ...

    def expand(self, memory: Memory) -> Iterator[Expansion]:
        """Yield each way to expand the part; their probabilities sum to 1."""
        ...


class Say:
    """Fixed words, with forms of picked options: ``"{hero} lost {hero.his} {thing}."``."""

    def __init__(self, template: str) -> None:
        self.parts: list[str | tuple[str, str]] = []
        for index, part in enumerate(template.replace("}", "{").split("{")):
            role, _, form = part.partition(".")
            self.parts.append((role, form) if index % 2 else part)

    def render(self, memory: Memory) -> str:
        """Return the words."""
        return "".join(
            part if isinstance(part, str) else memory[part[0]][part[1]] for part in self.parts
        )

    def draw(self, chance: random.Random, memory: dict[str, WordForms]) -> str:
        """See :class:`Node`."""
        return self.render(memory)

    def parse(self, text: str, start: int, memory: Memory) -> Iterator[tuple[int, Memory, float]]:
        """See :class:`Node`."""
        words = self.render(memory)
        if text.startswith(words, start):
            yield start + len(words), memory, 0.0

    def expand(self, memory: Memory) -> Iterator[Expansion]:
        """See :class:`Node`."""
        words, mentions = "", []
        for part in self.parts:
            if isinstance(part, str):
                words += part
            else:
                said = memory[part[0]][part[1]]
                mentions.append(Mention(len(words), *part, said, is_pick=False))
                words += said
        yield Expansion(0.0, words, (), memory, tuple(mentions))


class Pick:
    """Pick one of the options for a role, all equally likely, and say one form of it.

    Args:
        role: name by which later words refer to the option.
        options: the forms of each option.
        form: the form to say here.
        but_not: a role picked before, whose option is excluded.
    """

    def __init__(
        self, role: str, options: Sequence[WordForms], form: str = "", but_not: str | None = None
    ) -> None:
        self.role = role
        self.options = options
        self.form = form
        self.but_not = but_not

    def _available(self, memory: Memory) -> list[WordForms]:
        taken = None if self.but_not is None else memory[self.but_not]
        return [option for option in self.options if option != taken]

    def draw(self, chance: random.Random, memory: dict[str, WordForms]) -> str:
        """See :class:`Node`."""
        memory[self.role] = chance.choice(self._available(memory))
        return memory[self.role][self.form]

    def parse(self, text: str, start: int, memory: Memory) -> Iterator[tuple[int, Memory, float]]:
        """See :class:`Node`."""
        available = self._available(memory)
        for option in available:
            words = option[self.form]
            if text.startswith(words, start):
                log_prob = -math.log(len(available))
                yield start + len(words), {**memory, self.role: option}, log_prob

    def expand(self, memory: Memory) -> Iterator[Expansion]:
        """See :class:`Node`."""
        available = self._available(memory)
        log_prob = -math.log(len(available))
        for option in available:
            words = option[self.form]
            mention = Mention(0, self.role, self.form, words, is_pick=True)
            yield Expansion(log_prob, words, (), {**memory, self.role: option}, (mention,))


class OneOf:
    """One of several alternatives, with their weights."""

    def __init__(self, *choices: tuple[float, Any]) -> None:
        self.weights = [weight for weight, _ in choices]
        self.nodes: list[Node] = [as_node(node) for _, node in choices]
        total = sum(self.weights)
        self.log_probs = [math.log(weight / total) for weight in self.weights]

    def draw(self, chance: random.Random, memory: dict[str, WordForms]) -> str:
        """See :class:`Node`."""
        (node,) = chance.choices(self.nodes, self.weights)
        return node.draw(chance, memory)

    def parse(self, text: str, start: int, memory: Memory) -> Iterator[tuple[int, Memory, float]]:
        """See :class:`Node`."""
        for node, log_prob in zip(self.nodes, self.log_probs, strict=True):
            for end, after, inner in node.parse(text, start, memory):
                yield end, after, log_prob + inner

    def expand(self, memory: Memory) -> Iterator[Expansion]:
        """See :class:`Node`."""
        for node, log_prob in zip(self.nodes, self.log_probs, strict=True):
            yield Expansion(log_prob, "", (node,), memory)


class Seq:
    """A sequence of parts."""

    def __init__(self, *parts: Any) -> None:
        self.nodes: list[Node] = [as_node(part) for part in parts]

    def draw(self, chance: random.Random, memory: dict[str, WordForms]) -> str:
        """See :class:`Node`."""
        return "".join([node.draw(chance, memory) for node in self.nodes])

    def parse(self, text: str, start: int, memory: Memory) -> Iterator[tuple[int, Memory, float]]:
        """See :class:`Node`."""
        return self._parse_from(0, text, start, memory)

    def _parse_from(
        self, index: int, text: str, start: int, memory: Memory
    ) -> Iterator[tuple[int, Memory, float]]:
        if index == len(self.nodes):
            yield start, memory, 0.0
            return
        for middle, between, log_prob in self.nodes[index].parse(text, start, memory):
            for end, after, rest in self._parse_from(index + 1, text, middle, between):
                yield end, after, log_prob + rest

    def expand(self, memory: Memory) -> Iterator[Expansion]:
        """See :class:`Node`."""
        yield Expansion(0.0, "", tuple(self.nodes), memory)


def as_node(part: Any) -> Node:
    """Turn plain strings into :class:`Say`, and tuples into :class:`Seq`."""
    if isinstance(part, str):
        return Say(part)
    if isinstance(part, tuple):
        return Seq(*part)
    node: Node = part
    return node


def maybe(probability: float, part: Any) -> OneOf:
    """``part`` with this probability, otherwise nothing."""
    return OneOf((probability, part), (1 - probability, ""))


def derivations(node: Node, text: str) -> list[float]:
    """Log-probability of each derivation of exactly ``text``."""
    return [found for end, _, found in node.parse(text, 0, {}) if end == len(text)]
