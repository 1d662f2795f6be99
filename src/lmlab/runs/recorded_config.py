"""The configuration of a run folder, compared with the identity that its ``meta.json`` records."""

from __future__ import annotations

from lmlab.config.compose import load_frozen
from lmlab.config.identity_settings import unlike_recorded
from lmlab.config.run_config import RunConfig
from lmlab.errors import DataError, UserError
from lmlab.run_folder import RunFolder


def load_recorded(run: RunFolder) -> RunConfig:
    """Read ``config.yaml`` of a run whose results are about to be used.

    Raises:
        DataError: it cannot be read, or is not what the run was trained with; names the settings.
        ConfigError: a setting is not valid in this version of the code.
    """
    config = load_frozen(run.config)
    different = _unlike(run, config)
    if different:
        raise DataError(
            f"{run.config}: changed since the run was trained (meta.json -> config.yaml): "
            f"{', '.join(different)}",
            "restore these settings; to train with others, start another run",
        )
    return config


def changed_settings(run: RunFolder) -> list[str]:
    """List what was changed in ``config.yaml``, one ``key: meta.json -> config.yaml`` each."""
    try:
        return _unlike(run, load_frozen(run.config)) if run.config.exists() else []
    except UserError as error:
        return [error.message]


def _unlike(run: RunFolder, config: RunConfig) -> list[str]:
    identity = run.meta().get("identity")
    recorded = identity.get("config") if isinstance(identity, dict) else None
    return unlike_recorded(recorded, config.as_dict()) if isinstance(recorded, dict) else []
