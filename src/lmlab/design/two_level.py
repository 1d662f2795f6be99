"""Two-level factorial designs: which combinations of factors to run, and what they confound.

A factor is off (-1) or on (+1). A full design runs all 2^k combinations of k factors. A regular
fraction runs 2^(k-p) of them: the levels of k - p basic factors are free, and each further factor
is the product of some of them, its generator. An effect is then estimated together with others, its
aliases. Products of generators that are constant over the runs are the words of the defining
relation, and the shortest of them gives the resolution: at III, main effects are clear of each
other; at IV, also of two-factor interactions; at V, these are clear of each other too.

Terms and properties are those of Box, Hunter and Hunter (2005, Statistics for Experimenters, 2nd
edition, chapters 5 and 6). Fractions without given generators have minimum aberration (Fries and
Hunter 1980, Technometrics 22(4)): as few words as possible of the shortest length, then of the
next. They are found by search.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import re
from collections.abc import Iterator, Sequence

from lmlab.errors import ConfigError, suggestion

ROMAN = {3: "III", 4: "IV", 5: "V", 6: "VI", 7: "VII", 8: "VIII", 9: "IX"}
MOST_FACTORS = 8  # with more, the search for a fraction takes too long for a check of settings
_GENERATOR = re.compile(r"\s*(\w+)\s*=\s*(-?)\s*(\w+(?:\s*\*\s*\w+)*)\s*")

Effect = int  # a set of factors, bit i for factor i: their interaction, or a main effect


@dataclasses.dataclass(frozen=True)
class TwoLevelDesign:
    """The runs of a two-level design.

    Attributes:
        names: of the factors; the first ``num_basic`` are basic.
        columns: for each factor, the set of basic factors whose product gives its level, as bits.
        flips: for each factor, whether the product is reversed, counting "on" as one modulo 2.
    """

    names: tuple[str, ...]
    columns: tuple[int, ...]
    flips: tuple[bool, ...]

    @property
    def num_basic(self) -> int:
        """Number of basic factors."""
        return max(self.columns).bit_length()

    @property
    def num_runs(self) -> int:
        """Number of runs, a power of two."""
        return 1 << self.num_basic

    @functools.cached_property
    def runs(self) -> list[tuple[bool, ...]]:
        """Which factors are on in each run, in standard order: the first one changes fastest."""
        return [
            tuple(
                bool(_size(run & column) % 2) != flip
                for column, flip in zip(self.columns, self.flips, strict=True)
            )
            for run in range(self.num_runs)
        ]

    @functools.cached_property
    def words(self) -> dict[Effect, int]:
        """The words of the defining relation with their signs, the shortest first; none if full."""
        generators = [
            (1 << factor) | column
            for factor, column in enumerate(self.columns)
            if factor >= self.num_basic
        ]
        return {word: self._sign(word) for word in sorted(_span(generators), key=_by_order)}

    def _sign(self, word: Effect) -> int:
        """Return the constant product of the levels of a word."""
        flips = sum(self.flips[factor] for factor in members(word))
        return (-1) ** (_size(word) + flips)

    @property
    def resolution(self) -> int | None:
        """The length of the shortest word; None for a full design, which confounds nothing."""
        return min(map(_size, self.words), default=None)

    @property
    def pattern(self) -> tuple[int, ...]:
        """The number of words of each length, from 1 to the number of factors."""
        return word_pattern(list(self.words), len(self.names))

    def contrast(self, effect: Effect) -> list[int]:
        """Return the sign of each run in an effect: the product of the levels of its factors."""
        factors = members(effect)
        return [1 - 2 * (sum(not run[factor] for factor in factors) % 2) for run in self.runs]

    def aliases(self, effect: Effect) -> dict[Effect, int]:
        """Return the effects that are estimated together with one, the lowest orders first.

        Returns:
            The sign with which each is added.
        """
        found = {effect ^ word: sign for word, sign in self.words.items()}
        return {alias: found[alias] for alias in sorted(found, key=_by_order)}

    @functools.cached_property
    def effects(self) -> list[Effect]:
        """One effect of each set of aliases, of the lowest order; those of low order first.

        There are as many as runs less one. The mean is left out, and so are its aliases, the words.
        """
        chosen: list[Effect] = []
        known = {0, *self.words}
        for effect in sorted(range(1, 1 << len(self.names)), key=_by_order):
            if effect not in known:
                chosen.append(effect)
                known |= {effect, *self.aliases(effect)}
        return chosen

    @property
    def low_order_effects(self) -> list[Effect]:
        """Those of :attr:`effects` that are main effects or two-factor interactions."""
        return [effect for effect in self.effects if order(effect) <= 2]

    def label(self, effect: Effect, separator: str = " x ") -> str:
        """Return the names of the factors of an effect."""
        return separator.join(self.names[factor] for factor in members(effect))

    def defining_relation(self, separator: str = "*") -> str:
        """Return the defining relation as text: ``I = A*B*C*D*E``; empty for a full design."""
        if not self.words:
            return ""
        shown = [
            f"{'-' if sign < 0 else ''}{self.label(word, separator)}"
            for word, sign in self.words.items()
        ]
        return f"I = {' = '.join(shown)}"

    @functools.cached_property
    def orthogonal_subset(self) -> list[int]:
        """The positions of the fewest runs on which main effects are clear of each other.

        They form a regular fraction of this design of resolution III, or IV where one of the same
        size has it, with the first run among them.
        """
        for size in range(1, self.num_basic + 1):
            for is_clear in (True, False):
                images = _images(self.columns, size, is_clear)
                if images is not None:
                    return sorted(_combined(images, run) for run in range(1 << size))
        raise AssertionError("the design itself has resolution III")


def order(effect: Effect) -> int:
    """Return the number of factors of an effect."""
    return _size(effect)


def members(effect: Effect) -> list[int]:
    """Return the positions of the factors of an effect."""
    return [factor for factor in range(effect.bit_length()) if effect >> factor & 1]


def full_design(names: Sequence[str]) -> TwoLevelDesign:
    """Return the design of all combinations."""
    return TwoLevelDesign(
        tuple(names), tuple(1 << factor for factor in range(len(names))), (False,) * len(names)
    )


def fraction(names: Sequence[str], num_halvings: int) -> TwoLevelDesign:
    """Return the fraction of minimum aberration that has the run with all factors off.

    Args:
        names: of the factors.
        num_halvings: the p of 2^(k-p).

    Raises:
        ConfigError: no such fraction keeps main effects clear of each other.
    """
    number = len(names)
    most = number - _fewest_basic(number)
    if num_halvings > most:
        raise ConfigError(
            f"design.fraction={2**num_halvings}: expected at most {2**most} with "
            f"{number} factors, whose main effects are then clear of each other",
            "run more cells, or fewer factors",
        )
    columns = minimum_aberration(number, number - num_halvings)
    return TwoLevelDesign(tuple(names), columns, (False,) * number)


def of_resolution(names: Sequence[str], resolution: int) -> TwoLevelDesign:
    """Return the smallest fraction of minimum aberration with at least this resolution."""
    number = len(names)
    for num_halvings in range(number - _fewest_basic(number), 0, -1):
        found = fraction(names, num_halvings)
        if found.resolution is not None and found.resolution >= resolution:
            return found
    return full_design(names)


def from_generators(names: Sequence[str], generators: Sequence[str]) -> TwoLevelDesign:
    """Return the fraction with the given generators, such as ``E=A*B*C*D`` or ``E=-A*B*C*D``.

    Generated factors may have any position among the names; the design keeps the order of the
    others, and has them last.

    Raises:
        ConfigError: a generator cannot be read, names an unknown factor, or confounds main effects.
    """
    given: dict[str, tuple[bool, list[str]]] = {}
    for text in generators:
        read = _GENERATOR.fullmatch(text)
        if read is None:
            raise ConfigError(
                f"design.generators: {text}: expected a factor as a product of others",
                "write for example design.generators=['e=a*b*c*d']",
            )
        given[read[1]] = bool(read[2]), [name.strip() for name in read[3].split("*")]
    basic = [name for name in names if name not in given]
    for name, (_, factors) in given.items():
        for one in (name, *factors):
            valid = names if one == name else basic
            if one not in valid:
                raise ConfigError(
                    f"design.generators: {name}={'*'.join(factors)}: expected names among "
                    f"{', '.join(valid)}, found {one}",
                    suggestion(one, valid) or "use factors that are not generated themselves",
                )
    columns = [1 << position for position in range(len(basic))]
    flips = [False] * len(basic)
    for is_negative, factors in given.values():
        column = functools.reduce(int.__xor__, (1 << basic.index(one) for one in factors))
        columns.append(column)
        # With off as -1, the product of an even number of factors is on where all are off.
        flips.append(is_negative == bool(_size(column) % 2))
    found = TwoLevelDesign((*basic, *given), tuple(columns), tuple(flips))
    if found.resolution is not None and found.resolution < 3:
        raise ConfigError(
            f"design.generators: {', '.join(generators)}: expected main effects that are clear of "
            f"each other, found {found.defining_relation()}",
            "leave out design.generators for a fraction of minimum aberration",
        )
    return found


@functools.cache
def minimum_aberration(num_factors: int, num_basic: int) -> tuple[int, ...]:
    """Return the columns of a fraction of minimum aberration: Fries and Hunter 1980.

    All choices of generators are compared by their numbers of words of each length, the shortest
    first; of equal ones the first in order of their sizes is taken.
    """
    basic = tuple(1 << factor for factor in range(num_basic))
    candidates = sorted(
        (column for column in range(1 << num_basic) if _size(column) > 1), key=_by_order
    )

    def pattern(chosen: tuple[int, ...]) -> tuple[int, ...]:
        words = [(1 << num_basic + place) | column for place, column in enumerate(chosen)]
        return word_pattern(_span(words), num_factors)

    return basic + min(itertools.combinations(candidates, num_factors - num_basic), key=pattern)


def word_pattern(words: Sequence[Effect], num_factors: int) -> tuple[int, ...]:
    """Return the number of words of each length, from 1 to ``num_factors``."""
    counts = [0] * num_factors
    for word in words:
        counts[_size(word) - 1] += 1
    return tuple(counts)


def _fewest_basic(num_factors: int) -> int:
    """Return the p of the smallest 2^p runs that keep this many main effects clear."""
    return num_factors.bit_length()


def _span(generators: Sequence[Effect]) -> list[Effect]:
    """Return all products of the generators but the empty one."""
    products = [0]
    for generator in generators:
        products += [product ^ generator for product in products]
    return products[1:]


def _size(word: int) -> int:
    return word.bit_count()


def _by_order(effect: int) -> tuple[int, list[int]]:
    return _size(effect), members(effect)


def _images(columns: Sequence[int], size: int, is_clear: bool) -> tuple[int, ...] | None:
    """Map basic factors to sets of fewer ones, so that no two factors have equal levels.

    Args:
        columns: those of the design.
        size: number of factors to map to.
        is_clear: whether no factor's level is the product of two others' either.

    Returns:
        The image of each basic factor; None where there are none.
    """
    num_basic = max(columns).bit_length()

    def extended(images: tuple[int, ...], rank: int) -> Iterator[tuple[int, ...]]:
        # Factors whose column is known from the images so far.
        known = [_combined(images, c) for c in columns if c < 1 << len(images)]
        if 0 in known or len(set(known)) < len(known):
            return
        if is_clear and any(a ^ b in known for a, b in itertools.combinations(known, 2)):
            return
        if len(images) == num_basic:
            if rank == size:
                yield images
            return
        # All choices of a new direction are alike, so that one stands for all.
        for image in range(1, 1 << rank):
            yield from extended((*images, image), rank)
        if rank < size:
            yield from extended((*images, 1 << rank), rank + 1)

    found = next(extended((), 0), None)
    if found is None:
        return None
    return tuple(
        sum((image >> bit & 1) << place for place, image in enumerate(found)) for bit in range(size)
    )


def _combined(images: Sequence[int], selection: int) -> int:
    """Return the sum modulo 2 of the selected images."""
    chosen = (images[place] for place in members(selection))
    return functools.reduce(int.__xor__, chosen, 0)
