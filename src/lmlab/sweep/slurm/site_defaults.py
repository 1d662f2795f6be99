"""Defaults that a cluster or its user sets in ``SBATCH_*`` variables, such as the account.

They decide where a job runs and who pays for it, and apply only where the settings of
``hydra.launcher`` leave the choice open. lmlab ignores every other variable of sbatch, because it
would undo a setting, as ``SBATCH_TIMELIMIT`` does, or hide a job, as ``SBATCH_ARRAY_INX`` does.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_SETTINGS = {
    "SBATCH_PARTITION": "partition",
    "SBATCH_CONSTRAINT": "constraint",
    "SBATCH_ACCOUNT": "account",
    "SBATCH_QOS": "qos",
}
_OPTIONS = {"SBATCH_RESERVATION": "--reservation", "SBATCH_WCKEY": "--wckey"}
# Set by Slurm itself within a job.
_DESCRIPTION_OF_A_JOB = re.compile(r"SBATCH_(CPU|MEM)_BIND")


def apply_site_defaults(
    resources: Mapping[str, Any], environment: Mapping[str, str]
) -> tuple[dict[str, Any], list[str]]:
    """Fill the settings that are null from the environment.

    Args:
        resources: options of ``hydra.launcher``.
        environment: the environment of the command.

    Returns:
        The options, and lines to print about the variables that were used or ignored.
    """
    filled, used, ignored = dict(resources), [], []
    for variable in sorted(name for name in environment if name.startswith("SBATCH_")):
        value = environment[variable]
        if _DESCRIPTION_OF_A_JOB.match(variable) or not value:
            continue
        setting, option = _SETTINGS.get(variable), _OPTIONS.get(variable)
        given = list(filled.get("sbatch") or ())
        if setting is not None and filled.get(setting) is None:
            filled[setting] = value
            used.append(f"{variable}={value}")
        elif option is not None and not any(one.startswith(option) for one in given):
            filled["sbatch"] = [*given, f"{option}={value}"]
            used.append(f"{variable}={value}")
        else:
            ignored.append(variable)
    lines = []
    if used:
        lines.append(f"jobs use {', '.join(used)} from the environment")
    if ignored:
        names = ", ".join(ignored)
        lines.append(f"ignoring {names} from the environment; settings of hydra.launcher apply")
    return filled, lines
