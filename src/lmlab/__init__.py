"""lmlab: language-model experiments whose verdicts can be trusted.

Importing the package is fast: only the modules that need torch, wandb or Hydra import them.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lmlab.runs.load import Loaded

__all__ = ["load"]
__version__ = "0.1.0"


def load(folder: str | Path, *, checkpoint: str = "best", device: str = "auto") -> Loaded:
    """Load a trained model and its tokenizer: ``model, tokenizer = lmlab.load(run_folder)``.

    See :func:`lmlab.runs.load.load`.
    """
    from lmlab.runs.load import load as load_folder

    return load_folder(folder, checkpoint=checkpoint, device=device)
