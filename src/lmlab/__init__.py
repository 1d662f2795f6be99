"""lmlab: language-model experiments whose verdicts can be trusted.

Importing the package is fast: only the modules that need torch, wandb or Hydra import them.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas

    from lmlab.runs.load import Loaded

__all__ = ["load", "results"]
__version__ = "0.1.0"


def load(folder: str | Path, *, checkpoint: str = "best", device: str = "auto") -> Loaded:
    """Load a trained model and its tokenizer: ``model, tokenizer = lmlab.load(run_folder)``.

    See :func:`lmlab.runs.load.load`.
    """
    from lmlab.runs.load import load as load_folder

    return load_folder(folder, checkpoint=checkpoint, device=device)


def results(folder: str | Path = "outputs") -> pandas.DataFrame:
    """Return all runs below a folder as a pandas DataFrame, one row for each run.

    The columns are the names of the run, every setting that differs between runs by its dotted
    key, and the results; see :func:`lmlab.study.result_rows.read_results`. ``python -m
    lmlab.outputs --parquet FILE`` writes the same table.

    Args:
        folder: an output folder, or the folder of a study or a run in one.

    Raises:
        lmlab.errors.DataError: there is no such folder.
        lmlab.errors.ConfigError: pandas is not installed; ``pip install 'lmlab[pandas]'``.
    """
    from lmlab.study.result_files import to_frame
    from lmlab.study.result_rows import read_results

    return to_frame(read_results(Path(folder)))
