"""Expands a multirun into its jobs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.utils import JobReturn


class Sweeper(BasicSweeper):
    """Every combination of the swept values; unlike Hydra's own it writes no folder of its own.

    A key given on the command line takes the place of the experiment's, in dotted or slash form.
    """

    def sweep(self, arguments: list[str]) -> Any:
        """Launch all jobs; the results are in the order of the combinations.

        Raises:
            SystemExit: code 1, after all have ended, if any failed.
        """
        assert self.hydra_context is not None
        assert self.launcher is not None
        parser = OverridesParser.create(config_loader=self.hydra_context.config_loader)
        overrides = parser.parse_overrides([*self._parse_config(), *arguments])
        batches = self.split_arguments(overrides, self.max_batch_size)
        returns: list[Sequence[JobReturn]] = []
        for batch in batches:
            self.validate_batch_is_legal(batch)
            returns.append(self.launcher.launch(batch, initial_job_idx=len(returns)))
        if any(job.return_value for batch in returns for job in batch):
            raise SystemExit(1)
        return returns
