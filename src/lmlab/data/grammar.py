"""Probabilistic grammars that can be drawn from, and that know the probability of a text.

A grammar is built from :class:`Say`, :class:`Pick`, :class:`OneOf` and :class:`Seq`. Drawing makes
a choice at each ``Pick`` and ``OneOf``; the probability of a text is found the other way round, by
parsing it, and is the product of the choices that lead to it.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

WordCounts = Mapping[str, str]  # the forms of a picked option: "" for itself, "he", "his", ...
Memory = Mapping[str, WordCounts]  # what was picked so far, by the name of its role


class Node(Protocol):
    """A part of a grammar."""

    def draw(self, chance: random.Random, memory: dict[str, WordCounts]) -> str:
        """Return a random text, and note what was picked in ``memory``."""
        ...

    def parse(self, text: str, start: int, memory: Memory) -> Iterator[tuple[int, Memory, float]]:
        """Yield end, memory and log-probability in nats of each way to read ``text[start:]``."""
        ...


class Say:
    """Fixed words, with forms of what was picked: ``"{hero} lost {hero.his} {thing}."``."""

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

    def draw(self, chance: random.Random, memory: dict[str, WordCounts]) -> str:
        """See :class:`Node`."""
        return self.render(memory)

    def parse(self, text: str, start: int, memory: Memory) -> Iterator[tuple[int, Memory, float]]:
        """See :class:`Node`."""
        words = self.render(memory)
        if text.startswith(words, start):
            yield start + len(words), memory, 0.0


class Pick:
    """Pick an option for a role, and say one form of it.

    Args:
        role: under which later words refer to it.
        options: the forms of each option.
        form: which form is said here.
        but_not: a role picked before whose option is left out.

    All options that are left are equally likely.
    """

    def __init__(
        self, role: str, options: Sequence[WordCounts], form: str = "", but_not: str | None = None
    ) -> None:
        self.role = role
        self.options = options
        self.form = form
        self.but_not = but_not

    def _left(self, memory: Memory) -> list[WordCounts]:
        taken = None if self.but_not is None else memory[self.but_not]
        return [option for option in self.options if option != taken]

    def draw(self, chance: random.Random, memory: dict[str, WordCounts]) -> str:
        """See :class:`Node`."""
        memory[self.role] = chance.choice(self._left(memory))
        return memory[self.role][self.form]

    def parse(self, text: str, start: int, memory: Memory) -> Iterator[tuple[int, Memory, float]]:
        """See :class:`Node`."""
        left = self._left(memory)
        for option in left:
            said = option[self.form]
            if text.startswith(said, start):
                yield start + len(said), {**memory, self.role: option}, -math.log(len(left))


class OneOf:
    """One of several ways to go on, with their weights."""

    def __init__(self, *choices: tuple[float, Any]) -> None:
        self.weights = [weight for weight, _ in choices]
        self.nodes: list[Node] = [as_node(node) for _, node in choices]
        total = sum(self.weights)
        self.log_probs = [math.log(weight / total) for weight in self.weights]

    def draw(self, chance: random.Random, memory: dict[str, WordCounts]) -> str:
        """See :class:`Node`."""
        (node,) = chance.choices(self.nodes, self.weights)
        return node.draw(chance, memory)

    def parse(self, text: str, start: int, memory: Memory) -> Iterator[tuple[int, Memory, float]]:
        """See :class:`Node`."""
        for node, log_prob in zip(self.nodes, self.log_probs, strict=True):
            for end, after, inner in node.parse(text, start, memory):
                yield end, after, log_prob + inner


class Seq:
    """One part after the other."""

    def __init__(self, *parts: Any) -> None:
        self.nodes: list[Node] = [as_node(part) for part in parts]

    def draw(self, chance: random.Random, memory: dict[str, WordCounts]) -> str:
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


def as_node(part: Any) -> Node:
    """Let plain strings stand for :class:`Say`, and tuples for :class:`Seq`."""
    if isinstance(part, str):
        return Say(part)
    if isinstance(part, tuple):
        return Seq(*part)
    node: Node = part
    return node


def maybe(probability: float, part: Any) -> OneOf:
    """``part`` with this probability, else nothing."""
    return OneOf((probability, part), (1 - probability, ""))


def derivations(node: Node, text: str) -> list[float]:
    """Log-probability of each way in which the grammar makes exactly ``text``."""
    return [found for end, _, found in node.parse(text, 0, {}) if end == len(text)]
