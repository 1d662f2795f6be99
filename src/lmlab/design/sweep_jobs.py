"""The runs of a plain sweep: each run once, and one configuration per arm."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from lmlab.design.manifest import Manifest
from lmlab.design.run_keys import arm_settings, differing, run_seeds, typed_text, value_of
from lmlab.errors import ConfigError
from lmlab.run_folder import flatten

_SHOWN_KEYS = 3


@dataclasses.dataclass
class _Arm:
    """The jobs of one arm of one study."""

    name: str
    settings: dict[str, Any]
    jobs: list[int] = dataclasses.field(default_factory=list)
    seeds: set[tuple[int, int]] = dataclasses.field(default_factory=set)


def split_sweep(sweep: Manifest) -> tuple[list[Manifest], list[str]]:
    """Sort the jobs of a sweep into studies and arms.

    Jobs that would train the same run become one, whatever their spelling: ``1e-3`` and ``0.001``
    are one value, and settings that are only recorded make no other run.

    Args:
        sweep: all jobs, under the study of the first.

    Returns:
        One manifest for each study and output folder, and notes to print.

    Raises:
        ConfigError: one arm name stands for two configurations.
    """
    arms = sweep.arms
    studies: dict[tuple[str, str], list[_Arm]] = {}
    notes: dict[str, None] = {}
    for job, content in enumerate(arms):
        known = studies.setdefault((content["study"], content["output_root"]), [])
        arm = _find_arm(known, content, notes)
        seeds = run_seeds(content)
        if seeds in arm.seeds:
            first = next(one for one in arm.jobs if run_seeds(arms[one]) == seeds)
            notes[_describe_repeat(arm.name, arms[first], content)] = None
        else:
            arm.seeds.add(seeds)
            arm.jobs.append(job)
    manifests = []
    for (study, _), found in studies.items():
        pairs = sorted((job, arm.name) for arm in found for job in arm.jobs)
        jobs, names = [job for job, _ in pairs], [name for _, name in pairs]
        manifests.append(
            dataclasses.replace(
                sweep,
                study=study,
                arms=[arms[job] for job in jobs],
                names=names,
                overrides=[sweep.overrides[job] for job in jobs],
            )
        )
    return manifests, list(notes)


def _find_arm(known: list[_Arm], content: Mapping[str, Any], notes: dict[str, None]) -> _Arm:
    """Return the arm of a configuration, new or known."""
    settings, name = arm_settings(content), str(content["arm"])
    for arm in known:
        if arm.settings == settings:
            if arm.name != name:
                notes[f"{name} is the same configuration as {arm.name}; it runs once"] = None
            return arm
    for arm in known:
        if arm.name == name:
            keys = differing(arm.settings, settings)
            pairs = [
                f"{key} ({value_of(arm.settings, key)} and {value_of(settings, key)})"
                for key in keys[:_SHOWN_KEYS]
            ]
            more = f" and {len(keys) - _SHOWN_KEYS} more" if len(keys) > _SHOWN_KEYS else ""
            raise ConfigError(
                f"arm={name}: expected one configuration per arm; two jobs differ in "
                f"{', '.join(pairs)}{more}",
                f"give each its own name, such as 'arm={name}-${{{keys[0]}}}', or remove arm= to "
                "name arms after their settings",
            )
    known.append(_Arm(name, settings))
    return known[-1]


def _describe_repeat(arm: str, first: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    """Say which settings make no other run."""
    left, right = _recorded(first), _recorded(other)
    keys = differing(left, right)
    if not keys:
        return f"{arm}: runs that were asked for more than once run once"
    kept = ", ".join(f"{key}={value_of(left, key)}" for key in keys)
    return f"{arm}: {kept} applies; other values change no result and so make no other run"


def _recorded(content: Mapping[str, Any]) -> dict[str, Any]:
    """Settings that change what a run records and keeps, but not its result."""
    names = ("study", "arm", "output_root", "seed", "design", "demo")
    rest = {key: value for key, value in content.items() if key not in names}
    known = arm_settings(content)
    return {
        key: typed_text(value) for key, value in flatten(rest) if key not in known
        and not key.startswith(("data.", "tokenizer.", "model."))
    }  # fmt: skip
