"""The runs that a command with ``training.minutes`` has started, which keep its steps."""

from __future__ import annotations

from collections.abc import Iterator

from lmlab.config.compose import load_frozen, with_steps
from lmlab.config.identity_settings import identity_settings
from lmlab.config.run_config import RunConfig
from lmlab.errors import UserError
from lmlab.run_folder import RunFolder, runs_beside


def started_runs(config: RunConfig) -> Iterator[tuple[RunFolder, int]]:
    """Yield the runs of the same names, settings and minutes, and the steps of each.

    Args:
        config: whose steps are not known yet.
    """
    for folder in (RunFolder(config.named_folder), *runs_beside(config.named_folder)):
        try:
            recorded = load_frozen(folder.config)
            steps = recorded.training.steps
            if steps < 1 or recorded.training.minutes != config.training.minutes:
                continue
            expected = identity_settings(with_steps(config, steps))
        except (UserError, OSError):
            continue  # there is none, or it is damaged, or of code that is gone
        if identity_settings(recorded) == expected:
            yield folder, steps
