"""The sizes of a model, compared with its weight files before anything is allocated."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from safetensors import SafetensorError, safe_open

from lmlab.config.run_config import Model
from lmlab.errors import DataError

# Position tables have no weights to compare with: at most so many numbers, 4 GB in float32.
_LARGEST_TABLE = 10**9
_MOST_LAYERS = 1000  # of a file with fewer tensors: a user's layers may have no weights


def check_sizes(model: Model, files: Sequence[Path], source: Path) -> None:
    """Check that a model is no larger than its weights allow.

    Only headers are read. Tensors are compared one by one when they are loaded; until then, a
    size in a damaged configuration could ask for more memory than there is.

    Args:
        model: its configuration.
        files: the safetensors files.
        source: the file of the configuration, for messages.

    Raises:
        DataError: a size is too large, or a file cannot be read.
    """
    shapes = [shape for file in files for shape in _shapes(file)]
    total = sum(map(math.prod, shapes))
    largest = max((max(shape, default=0) for shape in shapes), default=0)
    d_ff = model.d_ff if isinstance(model.d_ff, int) else 0
    d_head = model.d_model // max(1, model.num_heads)
    limits = [
        ("d_model", model.d_model, largest),
        ("vocab_size", model.vocab_size, largest),
        ("vocab_size x d_model", model.vocab_size * model.d_model, total),
        ("num_layers", model.num_layers, max(len(shapes), _MOST_LAYERS)),
        ("d_ff", d_ff, max(total, model.d_model)),
        ("d_ff x d_model", d_ff * model.d_model, max(total, _LARGEST_TABLE)),
        ("num_heads", model.num_heads, model.d_model),
        ("context_length x d_head", model.context_length * d_head, _LARGEST_TABLE),
    ]
    for name, value, limit in limits:
        if value > limit:
            raise DataError(
                f"{source}: {name}={value:,}: expected {limit:,} or less for these weights",
                "restore the configuration that belongs to the weights",
            )


def _shapes(path: Path) -> list[list[int]]:
    try:
        with safe_open(str(path), framework="pt") as file:
            return [file.get_slice(name).get_shape() for name in file.keys()]  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        reason = " ".join(str(error).split())
        raise DataError(f"{path}: cannot be read as safetensors: {reason}") from error
