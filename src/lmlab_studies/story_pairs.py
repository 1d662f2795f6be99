"""Minimal pairs about the order of a story: which of two of its own sentences comes next?

    python -m lmlab_studies.story_pairs > conf/experiment/story_order.jsonl

The context is the beginning of a story that no corpus contains, the right continuation its next
sentence, the wrong one the sentence after that. The grammar gives the wrong one the probability
zero. Both are about the same story, so that words alone do not tell them apart.
"""

from __future__ import annotations

import argparse
import random
import re
from collections.abc import Iterator, Sequence

from lmlab.data.prefix_probability import Prefix
from lmlab.data.stories import DOCUMENT
from lmlab.data.toystories import generate
from lmlab.storage.json_text import dump_json

_SENTENCE_START = re.compile(r'(?<=[.!?"]) (?=[A-Z"])')
_LEAST_CONTEXT = 2  # sentences
_MOST_CHARACTERS = 420  # of a context; with the default vocabulary about 100 tokens
_LONGEST = 46  # characters of a continuation, which also fit the smallest contexts


def pairs(number: int, seed: int) -> Iterator[dict[str, str]]:
    """Yield items of the kind ``pairs``; see ``docs/tasks.md``.

    Args:
        number: of items, each from a story of its own.
        seed: of the stories.
    """
    found = story = 0
    while found < number:
        chance = random.Random(f"pairs:{seed}:{story}")
        story += 1
        sentences = _SENTENCE_START.split(generate(chance))
        places = [at for at in range(_LEAST_CONTEXT, len(sentences) - 1) if _is_pair(sentences, at)]
        if places:
            found += 1
            at = chance.choice(places)
            yield {
                "id": str(found),
                "context": " ".join(sentences[:at]),
                "good": sentences[at],
                "bad": sentences[at + 1],
            }


def _is_pair(sentences: Sequence[str], at: int) -> bool:
    context = " ".join(sentences[:at])
    next_two = sentences[at : at + 2]
    if len(context) > _MOST_CHARACTERS or max(map(len, next_two)) > _LONGEST:
        return False
    if next_two[0] == next_two[1]:
        return False
    start = Prefix.empty(DOCUMENT).extend(context)
    return start.log_prob_of(f" {sentences[at + 1]}") == float("-inf")


def main() -> None:
    """Print the items as JSON lines."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--items", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    for item in pairs(arguments.items, arguments.seed):
        print(dump_json(item))


if __name__ == "__main__":
    main()
