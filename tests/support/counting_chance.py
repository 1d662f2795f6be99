"""A random generator that computes the probability of its choices."""

from __future__ import annotations

import math
import random

from lmlab.data.grammar import WordForms


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
