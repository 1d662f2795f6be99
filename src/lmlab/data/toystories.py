"""The embedded corpus: short stories from a grammar, so that their exact entropy is known.

The grammar is unambiguous: each story has one derivation, so its probability is the product of the
probabilities of its choices. No model's loss can be lower on average.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

from lmlab.data.corpus import Corpus, Floor
from lmlab.data.grammar import derivations
from lmlab.data.stories import STORY
from lmlab.errors import DataError
from lmlab.storage.io import atomic_write_text, hash_json, read_json, write_json
from lmlab.storage.lock import Lock

# Increase with every change of the grammar or of its sampling.
GRAMMAR_VERSION = 1
SEPARATOR = "\n<|endoftext|>\n"
_NOTE = "no model can do better on average"


def generate(chance: random.Random) -> str:
    """Return a random story."""
    return STORY.draw(chance, {})


def log_prob(document: str) -> float:
    """Log-probability of a story in nats, found by parsing it.

    The end of a story is determined by the grammar's choices, so the end marker after it has
    probability 1.

    Raises:
        DataError: the grammar cannot generate this text.
    """
    found = derivations(STORY, document)
    if not found:
        raise DataError(f"{document[:60]!r}...: not a story of the grammar")
    assert len(found) == 1, f"the grammar is ambiguous for {document!r}"
    return found[0]


def documents(text: str) -> list[str]:
    """Split a text into its stories; each is followed by the separator."""
    return text.split(SEPARATOR)[:-1]


def write_corpus(cache_dir: Path, *, num_train: int, num_valid: int, seed: int) -> Corpus:
    """Write the training and validation stories, or reuse those written before.

    No validation story is among the training stories, and no two validation stories are equal. This
    rejects a few draws in a million, so the floor is that of the grammar without this condition.
    """
    recipe = {
        "grammar": GRAMMAR_VERSION, "num_train": num_train, "num_valid": num_valid, "seed": seed,
    }  # fmt: skip
    folder = Path(cache_dir) / "toystories" / hash_json(recipe)[:16]
    train, valid, about = folder / "train.txt", folder / "valid.txt", folder / "about.json"
    with Lock(folder / "writing.lock"):
        if not about.exists():
            stories = list(_draw(random.Random(f"train:{seed}"), num_train, set()))
            held_out = list(_draw(random.Random(f"valid:{seed}"), num_valid, set(stories)))
            atomic_write_text(train, _join(stories))
            atomic_write_text(valid, _join(held_out))
            nats = -sum(log_prob(story) for story in held_out)
            text_bytes = sum(len(story.encode()) + 2 for story in held_out)  # two line ends
            write_json(about, recipe | {"valid_nats": nats, "valid_text_bytes": text_bytes})
        found = read_json(about)
    floor = Floor(found["valid_nats"], found["valid_text_bytes"], _NOTE)
    return Corpus("toystories", [train], [valid], floor)


def _join(stories: list[str]) -> str:
    return "".join(story + SEPARATOR for story in stories)


def _draw(chance: random.Random, count: int, taken: set[str]) -> Iterator[str]:
    """Yield stories that are not in ``taken``; distinct ones unless ``taken`` is empty."""
    distinct = bool(taken)
    while count:
        story = generate(chance)
        if story in taken:
            continue
        if distinct:
            taken.add(story)
        count -= 1
        yield story
