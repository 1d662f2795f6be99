"""Small files of tasks of each kind, in the words of the texts of tests."""

from __future__ import annotations

import json
import random
from pathlib import Path

_WORDS = ["a", "bad", "cab", "fed", "bee", "cafe", "dad", "faced"]


def write_tasks(folder: Path, seed: int = 0) -> str:
    """Write files of pairs, cloze items and a text; return the override that names them."""
    draw = random.Random(seed)

    def words(most: int) -> str:
        return " ".join(draw.choices(_WORDS, k=draw.randint(2, most)))

    folder.mkdir(exist_ok=True)
    pairs = [{"good": f"{words(2)}.", "bad": f"{words(2)}!"} for _ in range(9)]
    cloze = [{"text": words(5)} for _ in range(6)]
    for name, items in (("pairs", pairs), ("cloze", cloze)):
        lines = (json.dumps(item) + "\n" for item in items)
        (folder / f"{name}.jsonl").write_text("".join(lines), "utf-8")
    (folder / "wiki.txt").write_text(words(40), "utf-8")
    return (
        f"validation.tasks={{pairs: {folder / 'pairs.jsonl'}, "
        f"last: {{file: {folder / 'cloze.jsonl'}, kind: cloze}}, "
        f"wiki: {{text: {folder / 'wiki.txt'}}}}}"
    )
