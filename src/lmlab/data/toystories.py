"""The embedded corpus: short stories from a grammar, so that their exact entropy is known.

The grammar is unambiguous: each story has one derivation, so its probability is the product of the
probabilities of its choices. No model's loss can be lower on average.
"""

from __future__ import annotations

import dataclasses
import hashlib
import random
from collections.abc import Iterator, Mapping
from pathlib import Path

from lmlab.data.corpus import Corpus, Floor
from lmlab.data.grammar import derivations
from lmlab.data.stories import SEPARATOR, STORY
from lmlab.data.story_probes import ProbeItem, probe_items
from lmlab.errors import DataError
from lmlab.storage.cache_entry import open_or_make
from lmlab.storage.content_hash import remembered_hash
from lmlab.storage.io import atomic_write_bytes, hash_json
from lmlab.storage.sealed import read_sealed, write_sealed

# Increase with every change of the grammar or of its sampling.
GRAMMAR_VERSION = 1
_NOTE = "no model can do better on average"
_FILES = ("train.txt", "valid.txt", "about.json")


class StoryCorpus(Corpus):
    """The stories, and questions about those held out.

    Args:
        train: file of the training stories.
        valid: file of the held-out stories.
        floor: entropy of the latter.
    """

    def __init__(self, train: Path, valid: Path, floor: Floor) -> None:
        super().__init__("toystories", [train], [valid], floor, remembered_hash)
        self.held_out = valid

    def probe_items(self, num_items: int) -> dict[str, list[ProbeItem]]:
        """Return items of each probe; see :func:`lmlab.data.story_probes.probe_items`.

        Contexts begin as stories do in the text: after the separator of the story before.

        Args:
            num_items: items per probe; fewer if the held-out stories do not have so many.
        """
        found = probe_items(
            documents(self.held_out.read_bytes().decode("utf-8")), num_items=num_items
        )
        start = SEPARATOR.lstrip("\n")
        return {
            probe: [dataclasses.replace(item, context=start + item.context) for item in items]
            for probe, items in found.items()
        }


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

    Damaged ones are written again, with a warning.

    No validation story is among the training stories, and no two validation stories are equal. This
    rejects a few draws in a million, so the floor is that of the grammar without this condition.
    """
    recipe = {
        "grammar": GRAMMAR_VERSION, "num_train": num_train, "num_valid": num_valid, "seed": seed,
    }  # fmt: skip
    folder = Path(cache_dir) / "toystories" / hash_json(recipe)[:16]
    return open_or_make(
        folder,
        lambda place: _open(place, recipe),
        lambda place: _write(place, recipe),
        lock="writing.lock",
        files=_FILES,
        doing="writing the stories",
    )


def _open(folder: Path, recipe: Mapping[str, int]) -> Corpus | None:
    """Return the stories in a folder; None if it has none. Raises DataError if one is damaged."""
    train, valid, about = (folder / name for name in _FILES)
    if not any(path.exists() for path in (train, valid, about)):
        return None
    try:
        record = read_sealed(about)
        floor = Floor(record["valid_nats"], record["valid_text_bytes"], _NOTE)
        is_same_recipe = recipe.items() <= record.items()
        changed = [path for path in (train, valid) if remembered_hash(path) != record[path.name]]
    except (OSError, ValueError, KeyError) as error:
        raise DataError(f"{about}: cannot be read: {error}") from error
    if changed or not is_same_recipe:
        raise DataError(f"{(changed or [about])[0]}: not the file that was written")
    return StoryCorpus(train, valid, floor)


def _write(folder: Path, recipe: Mapping[str, int]) -> Corpus:
    train, valid, about = (folder / name for name in _FILES)
    seed = recipe["seed"]
    stories = list(_draw(random.Random(f"train:{seed}"), recipe["num_train"], set()))
    held_out = list(_draw(random.Random(f"valid:{seed}"), recipe["num_valid"], set(stories)))
    nats = -sum(log_prob(story) for story in held_out)
    text_bytes = sum(len(story.encode()) + 2 for story in held_out)  # two line ends
    hashes = {}
    for path, texts in ((train, stories), (valid, held_out)):
        content = _join(texts).encode("utf-8")
        hashes[path.name] = hashlib.sha256(content).hexdigest()
        atomic_write_bytes(path, content)
    floor = {"valid_nats": nats, "valid_text_bytes": text_bytes}
    write_sealed(about, {**recipe, **floor, **hashes})
    written = _open(folder, recipe)  # reads them back
    assert written is not None
    return written


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
