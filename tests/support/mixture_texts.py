"""A mixture of three sources, for runs of about a second."""

from __future__ import annotations

from pathlib import Path

NAMES = ("code", "news", "tales")


def mixture(folder: Path, overrides: list[str]) -> list[str]:
    """Write two texts, and return the overrides of a run with the data of a mixture."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, word in (("news", "Today the king said that"), ("code", "if x: return f(x) +")):
        text = "".join(f"{word} {number}.<|endoftext|>" for number in range(200))
        (folder / f"{name}.txt").write_text(text)
    kept = [one for one in overrides if not one.startswith("data")]
    return [
        *kept, "data=mixture",
        *(f"data.sources.{name}={folder / name}.txt" for name in ("news", "code")),
        "data.sources.news.valid_fraction=0.1", "data.sources.code.valid_fraction=0.1",
        "data.sources.tales.data=toystories", "data.sources.tales.num_train_documents=40",
        "data.sources.tales.num_valid_documents=4", "data.weights={news: 3, code: 1, tales: 0.5}",
    ]  # fmt: skip
