"""Where a run and the caches that it shares lie."""

from __future__ import annotations

from pathlib import Path

from lmlab.config.compose import Config


def cache_folder(config: Config) -> Path:
    """Where corpora, tokenizers and token files are kept for all runs."""
    return Path(config.output_root) / "cache"


def first_choice(config: Config) -> Path:
    """The folder that a run's names give it; another configuration's run may stand there."""
    return Path(config.output_root) / config.study / config.arm / f"seed{config.seed}"
