"""Compose and check the arms of a study, on one size or on the rungs of a ladder."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException

from hydra_plugins.lmlab_launcher.launcher import LocalLauncher, make_manifest
from lmlab.config.group_selection import rewrite_all
from lmlab.config.paths import conf_folder
from lmlab.config.run_config import Component, RunConfig
from lmlab.config.user_settings import search_path
from lmlab.design.comparison import Comparison
from lmlab.design.factor_levels import Levels
from lmlab.design.factorial import Factorial
from lmlab.design.factorial_checks import check_typed
from lmlab.design.ladder import Ladder
from lmlab.design.ladder_checks import check_entropy, check_rungs, check_rungs_of_arms
from lmlab.design.leave_one_out import LeaveOneOut
from lmlab.design.manifest import Manifest
from lmlab.design.matched_tokens import match_tokens
from lmlab.design.replaced_settings import check_replaced
from lmlab.design.rungs import measure_rung, read_declaration
from lmlab.design.study_checks import (
    check_arms,
    check_overrides,
    check_overrides_of_rungs,
    check_study,
)
from lmlab.design.study_seeds import other_seed
from lmlab.errors import ConfigError

# Studies of combined changes: their setting of the changes, and their field of a manifest.
_COMBINING: dict[str, tuple[type[Factorial] | type[LeaveOneOut], str, str]] = {
    Factorial.__name__: (Factorial, "factors", "factorial"),
    LeaveOneOut.__name__: (LeaveOneOut, "changes", "leave_one_out"),
}


def freeze_study(launcher: LocalLauncher, base: list[str], typed: Sequence[Override]) -> Manifest:
    """Return the manifest of the study that ``design`` declares.

    Args:
        launcher: composes configurations.
        base: overrides that all arms share.
        typed: those of the command line.

    Raises:
        ConfigError: a setting of the study or of one of its arms is not valid.
    """
    declared = launcher.compose(base)
    assert declared.design is not None
    settings = declared.design.parameters
    texts = [str(override.input_line) for override in typed]
    kind = declared.design.target.rpartition(".")[2]
    if kind in _COMBINING:
        combining, setting, field = _COMBINING[kind]
        combined = combining(**settings)
        _check_levels(setting, combined.levels, texts)
        manifest = _freeze_comparison(launcher, base, combined.comparison)
        own: dict[str, Any] = {field: combined}
        return _noted(dataclasses.replace(manifest, **own))
    design = Ladder(**settings) if kind == Ladder.__name__ else Comparison(**settings)
    for arm, overrides in design.arms.items():
        _check_values(f"design.arms.{arm}", overrides)
    check_overrides(design.arms)
    for note in check_replaced(design.arms, texts):
        print(note, file=sys.stderr)
    if isinstance(design, Ladder):
        manifest = _freeze_ladder(launcher, base, texts, design, declared.ladder)
    else:
        manifest = _freeze_comparison(launcher, base, design)
    return _noted(manifest)


def _noted(manifest: Manifest) -> Manifest:
    """Print which seeds a study holds fixed, if any."""
    if manifest.held_seeds_note:
        print(manifest.held_seeds_note, file=sys.stderr)
    return manifest


def _freeze_comparison(launcher: LocalLauncher, base: list[str], design: Comparison) -> Manifest:
    configs = _compose_arms(launcher, base, design.arms)
    held = _check_arms(launcher, base, design, configs)
    manifest = make_manifest(
        configs, list(design.arms), list(design.arms.values()), launcher, design
    ).with_held_seeds(held)
    if not design.hold_tokens:
        return manifest
    reference = manifest.arms[manifest.names.index(design.baseline or manifest.names[0])]
    arms = [match_tokens(content, reference) for content in manifest.arms]
    return dataclasses.replace(manifest, arms=arms)


def _check_levels(setting: str, levels: Levels, typed: Sequence[str]) -> None:
    """Check the overrides of changes that a study combines, and those of the command line."""
    for name, both in levels.items():
        for overrides in both:
            _check_values(f"design.{setting}.{name}", overrides)
            check_overrides({name: overrides}, setting)
    for note in check_typed(levels, typed, setting):
        print(note, file=sys.stderr)


def _freeze_ladder(
    launcher: LocalLauncher,
    base: list[str],
    typed: Sequence[str],
    design: Ladder,
    declared: Component | None,
) -> Manifest:
    if declared is None:
        raise ConfigError(
            "ladder=null: expected the sizes at which design=ladder compares",
            "set ladder=sizes to generate them, or ladder=given to list them",
        )
    declaration = read_declaration(declared.target, declared.parameters)
    (baseline,) = _compose_arms(launcher, base, {design.baseline: design.arms[design.baseline]})
    rungs = declaration.overrides(baseline.as_dict())
    for position, overrides_of_rung in enumerate(rungs):
        _check_values(f"ladder.rungs[{position}]", overrides_of_rung)
    check_overrides_of_rungs(rungs)
    for note in check_rungs(design.arms, rungs, typed):
        print(note, file=sys.stderr)
    configs: list[RunConfig] = []
    measured = []
    for rung in rungs:
        of_rung = _compose_arms(launcher, [*base, *rung], design.arms, number=len(configs))
        on_baseline = of_rung[list(design.arms).index(design.baseline)]
        measured.append(measure_rung(rung, on_baseline.as_dict()))
        configs += of_rung
    check_rungs_of_arms([one.as_dict() for one in configs], len(rungs))
    check_entropy(design.entropy, configs[0].model.vocab_size)
    design = dataclasses.replace(
        design, rungs=tuple(measured), sealed=declaration.sealed, generator=declared.as_dict()
    )
    number = len(design.arms)
    most_seeds = max(map(design.seeds, range(len(rungs))))
    lowest = dataclasses.replace(design.on_rung(0), num_seeds=most_seeds)
    held = _check_arms(launcher, [*base, *rungs[0]], lowest, configs[:number])
    for upper in range(1, len(rungs)):
        of_rung = configs[upper * number : (upper + 1) * number]
        check_arms(design.on_rung(upper), [one.as_dict() for one in of_rung])
    overrides = [[*rung, *own] for rung in rungs for own in design.arms.values()]
    names = [cell for cell, (_, arm) in design.cells.items() if arm in design.arms]
    manifest = make_manifest(configs, names, overrides, launcher)
    return dataclasses.replace(manifest, ladder=design).with_held_seeds(held)


def _check_values(name: str, overrides: Sequence[str]) -> None:
    """Raise :class:`ConfigError` where an arm or a rung gives a setting no value, or several."""
    parser = OverridesParser.create()
    for text in overrides:
        try:
            is_swept = parser.parse_override(text).is_sweep_override()
        except HydraException as error:
            raise ConfigError(
                f"{name}: {text}: expected key=value",
                "write a setting as on the command line, with quotes around special characters",
            ) from error
        if is_swept:
            raise ConfigError(
                f"{name}: {text}: expected one value", "declare an arm or a rung for each value"
            )


def _compose_arms(
    launcher: LocalLauncher, base: list[str], arms: Mapping[str, Sequence[str]], number: int = 0
) -> list[RunConfig]:
    """Compose the configuration of each arm; ``number`` is the position of the first."""
    folders = [conf_folder(), *search_path()]
    return [
        launcher.compose(rewrite_all([*base, *own], folders), number=number + position)
        for position, own in enumerate(arms.values())
    ]


def _check_arms(
    launcher: LocalLauncher, base: list[str], design: Comparison, configs: Sequence[RunConfig]
) -> tuple[str, ...]:
    """Check the arms of a study against each other; return the seeds that are held fixed."""
    seed = f"seed={other_seed(configs[0].seed)}"
    arms = {arm: [*own, seed] for arm, own in design.arms.items()}
    reseeded = _compose_arms(launcher, base, arms)
    return check_study(
        design, [one.as_dict() for one in configs], [one.as_dict() for one in reseeded]
    )
