"""isoFLOP studies with a known truth: a sum of two power laws, or exact parabolas."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from lmlab.study.ladders.isoflop_curves import Budget

ENTROPY, SIZE_EXPONENT, TOKEN_EXPONENT = 1.7, 0.34, 0.28
LOWEST, BEST_SIZE, LOSS_AT_BEST = 4e11, 5e4, 1.35  # FLOPs, parameters, nats by the size alone
EXPONENT = TOKEN_EXPONENT / (SIZE_EXPONENT + TOKEN_EXPONENT)  # of the best size in the compute


@dataclasses.dataclass(frozen=True)
class Study:
    """One kind of isoFLOP study.

    Attributes:
        budgets: number of budgets, each four times the one before.
        sizes: number of sizes of each, around the best one but not centred on it.
        seeds: number of seeds of each size.
        factor: ratio of neighbouring sizes.
        sd: standard deviation of a run of the lowest budget, in nats; 0.7 times per budget.
        off_centre: by how many sizes the best one is off the middle, to alternate sides.
        parabolas: whether losses are parabolas in log(parameters) instead of sums of powers.
    """

    budgets: int = 4
    sizes: int = 5
    seeds: int = 3
    factor: float = 2.0
    sd: float = 0.009
    off_centre: float = 0.2
    parabolas: bool = False

    @property
    def flops(self) -> list[float]:
        """Compute of the budgets."""
        return [LOWEST * 4.0**number for number in range(self.budgets)]

    @staticmethod
    def best_size(flops: float) -> float:
        """Return the best number of parameters."""
        return BEST_SIZE * (flops / LOWEST) ** EXPONENT

    def loss(self, size: float, flops: float) -> float:
        """Return the expected loss, in nats per token."""
        best, tokens = self.best_size(flops), flops / 6 / size
        by_tokens = LOSS_AT_BEST * SIZE_EXPONENT / TOKEN_EXPONENT
        first_tokens = LOWEST / 6 / BEST_SIZE

        def exact(n: float, d: float) -> float:
            of_size = LOSS_AT_BEST * (n / BEST_SIZE) ** -SIZE_EXPONENT
            return ENTROPY + of_size + by_tokens * (d / first_tokens) ** -TOKEN_EXPONENT

        if not self.parabolas:
            return exact(size, tokens)
        return exact(best, flops / 6 / best) + 0.14 * math.log(size / best) ** 2

    def draw(self, chance: np.random.Generator) -> list[Budget]:
        """Return the budgets of one study; seeds shift all sizes, as much as they differ."""
        found = []
        for number, flops in enumerate(self.flops):
            steps = np.arange(self.sizes) - (self.sizes - 1) / 2
            steps = steps + self.off_centre * (-1) ** number
            sizes = [float(one) for one in self.best_size(flops) * self.factor**steps]
            sd = self.sd * 0.7**number
            expected = np.array([self.loss(size, flops) for size in sizes])[:, None]
            noise = chance.normal(size=(self.sizes, self.seeds)) + chance.normal(size=self.seeds)
            rows = expected + sd * noise
            losses = [dict(enumerate(map(float, row))) for row in rows]
            found.append(Budget(flops, sizes, [flops / 6 / size for size in sizes], losses))
        return found
