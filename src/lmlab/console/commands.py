"""The commands of lmlab, by name."""

from __future__ import annotations

import importlib
from typing import Any

COMMANDS = {
    "train": "train a model, or run a sweep or study",
    "run": "execute one frozen configuration",
    "generate": "generate text with a trained model",
    "evaluate": "measure the loss of a trained model on UTF-8 text",
    "export": "export a model or a tokenizer",
    "tokenize": "train, use and inspect tokenizers",
    "account": "compute parameters, FLOPs and memory of a configuration",
    "status": "show the progress of a study",
    "report": "write the report of a study",
    "compare": "compare runs that no study planned",
    "forecast": "predict the loss of a budget of compute from a ladder",
    "publish": "write a study's records and report to a folder for Git",
    "judge": "try ideas against a standing baseline, with error control over all of them",
    "outputs": "list, tabulate, annotate and remove runs",
    "completion": "print a script for shell completion",
}
_PACKAGES = ("export", "judge", "outputs")


def import_command(name: str) -> Any:
    """Import the module of a command: its ``main``, and its ``COMMAND`` unless it is ``train``."""
    suffix = ".__main__" if name in _PACKAGES else ""
    return importlib.import_module(f"lmlab.{name}{suffix}")
