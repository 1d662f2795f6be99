"""Prepared texts of the runs of a sweep, each prepared once."""

from __future__ import annotations

from lmlab.build.run_data import RunData, check_source, prepare_data
from lmlab.build.run_spec import resolve
from lmlab.config.run_config import RunConfig
from lmlab.storage.io import hash_json


class RunDataCache:
    """Corpus, tokenizer and token files by configuration.

    Configurations that differ only in settings without influence on the texts share one entry.
    """

    def __init__(self) -> None:
        self._prepared: dict[str, RunData] = {}

    def get(self, config: RunConfig) -> RunData:
        """Return the prepared texts. Raises :class:`DataError` or :class:`ConfigError`."""
        key = hash_json(
            {
                "data": config.data.as_dict(),
                "tokenizer": config.tokenizer.as_dict(),
                "output_root": config.output_root,
                "sizes": [config.model.vocab_size, config.model.context_length],
                "tasks": config.validation.tasks,
                "probes": config.validation.probes,
            }
        )
        if key not in self._prepared:
            spec = resolve(config).data
            check_source(spec)
            self._prepared[key] = prepare_data(spec)
        return self._prepared[key]
