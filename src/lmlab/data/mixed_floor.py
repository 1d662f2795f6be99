"""The loss that no model can beat on the validation text of a run, where it is known."""

from __future__ import annotations

from typing import Any

from lmlab.data.corpus import Corpus
from lmlab.data.mixed_tokens import Part, parts_of
from lmlab.data.split import SplitTokens


def floor_of(corpus: Corpus, valid: SplitTokens) -> dict[str, Any] | None:
    """Return the exact entropy of the validation text; None where it is not known.

    Of several sources it is the mean of theirs, weighted as the losses are, and known only if all
    are; see :func:`lmlab.training.mixed_evaluator.weighted_mean`.

    Args:
        corpus: of the run.
        valid: the ids of its validation split.

    Returns:
        ``nats_per_token``, ``bits_per_byte`` and ``note``; of several sources also ``sources``,
        with the first two of each source of which they are known.
    """
    sources: dict[str, Corpus] = getattr(corpus, "sources", {"": corpus})
    parts = parts_of(valid)
    floors = {part.name: _floor(sources[part.name], part) for part in parts}
    if list(floors) == [""]:
        return floors[""]
    known = {name: floor for name, floor in floors.items() if floor is not None}
    if len(known) < len(parts):
        return None
    total = {
        key: sum(float(part.share) * known[part.name][key] for part in parts)
        for key in ("nats_per_token", "bits_per_byte")
    }
    return total | {"note": known[parts[0].name]["note"], "sources": known}


def _floor(corpus: Corpus, part: Part) -> dict[str, Any] | None:
    floor = corpus.floor
    if floor is None:
        return None
    return {
        "nats_per_token": floor.nats / max(part.split.num_tokens - 1, 1),
        "bits_per_byte": floor.bits_per_byte,
        "note": floor.note,
    }
