"""A sweep whose texts are prepared and whose arms are checked; shared by all launchers."""

from __future__ import annotations

import dataclasses
import math
import sys
from collections.abc import Mapping
from pathlib import Path

from lmlab.build.optimizer_packages import check_packages
from lmlab.build.optimizers import bind_optimizers
from lmlab.build.run_data import RunData
from lmlab.config.compose import from_dict
from lmlab.config.run_config import RunConfig
from lmlab.console.formatting import align_columns
from lmlab.design import fairness
from lmlab.design.comparison import Comparison
from lmlab.design.ladder import GAINS
from lmlab.design.manifest import Manifest
from lmlab.design.metrics import check_probe_names, further_metrics
from lmlab.design.search import outcome_from_losses
from lmlab.errors import ConfigError
from lmlab.study.earlier_looks import count_earlier_looks
from lmlab.study.earlier_rules import keep_earlier_rules
from lmlab.study.ladders.ladder_facts import ladder_facts
from lmlab.study.ladders.seals import SEALS_FILE, read_seals
from lmlab.study.sweep_folder import SweepFolder
from lmlab.sweep.arm_costs import count_arm_costs, match_width
from lmlab.sweep.factorial_plan import describe_factorial
from lmlab.sweep.ladder_plan import describe_budgets, describe_rungs
from lmlab.sweep.ladder_prediction import describe_ladder_power
from lmlab.sweep.metric_plan import describe_metric, metric_facts
from lmlab.sweep.plan import describe_power, spread_over_seeds
from lmlab.sweep.run_data_cache import RunDataCache
from lmlab.tracking import check_tracker, trackers_of


@dataclasses.dataclass(frozen=True)
class PreparedSweep:
    """A manifest with what every launcher needs to run it.

    Attributes:
        manifest: the submitted study or sweep.
        configs: frozen configuration of each arm (of each run, for a plain sweep).
        folder: folder of the sweep.
        data: prepared texts of the configurations.
    """

    manifest: Manifest
    configs: list[RunConfig]
    folder: SweepFolder
    data: RunDataCache

    @classmethod
    def from_manifest(cls, manifest: Manifest) -> PreparedSweep:
        """Freeze the configurations of a manifest.

        Raises:
            ConfigError: a tracker cannot be used, or the package of an optimizer is missing.
        """
        configs = [from_dict(content) for content in manifest.arms]
        for config in configs:
            for key, tracker in trackers_of(config.logger.as_dict()).items():
                check_tracker(key, tracker["_target_"], tracker)
            for optimizer in bind_optimizers(config.optim):
                check_packages(optimizer.target)
        manifest = keep_earlier_rules(manifest, Path(configs[0].output_root))
        folder = SweepFolder.of(manifest, Path(configs[0].output_root))
        manifest = count_earlier_looks(manifest, folder)
        return cls(manifest, configs, folder, RunDataCache())

    def check_fairness(self) -> None:
        """Prepare all texts, and print and store what the arms of a study cost.

        Raises:
            ConfigError: the arms differ in ways that the study does not allow, the text is too
                short for a rung of a ladder, it lacks a probe of ``design.metrics``, or its bytes
                are not known to a study of bits per byte.
            DataError: a text cannot be used.
        """
        prepared = [self.data.get(config) for config in self.configs]
        manifest, design = self.manifest, self.manifest.comparison
        if manifest.ladder is not None:
            self._check_rungs(prepared)
        if design is None:
            return
        reference = manifest.names.index(design.baseline or manifest.names[0])
        baseline = self.configs[reference]
        _check_metric(design, dict(zip(manifest.names, prepared, strict=True)))
        if any(one.is_probe for one in further_metrics(design, manifest.arms[0])):
            known = list(prepared[reference].probes.facts() or {})
            check_probe_names(design, manifest.arms[0], known)
        costs = {
            name: count_arm_costs(config, data, baseline)
            for name, config, data in zip(manifest.names, self.configs, prepared, strict=True)
        }
        _print_costs(costs)
        for difference in fairness.check_fairness(costs, design):
            print(f"allowed: {difference.description}", file=sys.stderr)
        self.folder.write_arm_costs({name: arm.as_dict() for name, arm in costs.items()})
        baseline_runs = [
            entry.run
            for entry in self.folder.entries()
            if entry.job.arm == design.baseline and "judged" in entry.purposes
        ]
        assumed = _assumed_sd(design, baseline, prepared[reference])
        if manifest.factorial is not None:
            spread = spread_over_seeds(design, baseline_runs, assumed)
            lines = describe_factorial(manifest.factorial, *spread)
        else:
            lines = describe_power(design, baseline_runs, assumed)
        for line in lines:
            print(line, file=sys.stderr)
        for metric in further_metrics(design, manifest.arms[0]):
            facts = metric_facts(metric, prepared[reference])
            for line in describe_metric(design, metric, facts, baseline_runs):
                print(line, file=sys.stderr)

    def _check_rungs(self, prepared: list[RunData]) -> None:
        """Check each rung of a ladder as a study of its own; print its sizes."""
        manifest, ladder = self.manifest, self.manifest.ladder
        assert ladder is not None
        costs: dict[str, fairness.ArmCosts] = {}
        for rung in manifest.rungs:
            comparison = rung.comparison
            assert comparison is not None
            own = {}
            for name in rung.names:
                position = manifest.names.index(name)
                own[name] = count_arm_costs(self.configs[position], prepared[position])
            for difference in fairness.check_fairness(own, comparison):
                if ladder.analysis == GAINS:  # sizes differ in all that may differ
                    print(f"allowed: {difference.description}", file=sys.stderr)
            costs |= own
        if ladder.sealed:  # not only when the rungs below have been trained
            for problem in read_seals(self.folder.study_folder / SEALS_FILE).problems:
                print(f"warning: {problem}", file=sys.stderr)
        tokens = len(prepared[0].train.tokens)
        describe = describe_rungs if ladder.analysis == GAINS else describe_budgets
        for line in describe(ladder, costs, tokens):
            print(line, file=sys.stderr)
        plain = {name: arm.as_dict() for name, arm in costs.items()}
        self.folder.write_arm_costs(plain)
        outcomes = {
            entry.job: outcome_from_losses(
                str(entry.run.status().get("status", "missing")),
                [row["loss"] for row in entry.run.evaluations()],
            )
            for entry in self.folder.entries()
        }
        facts = ladder_facts(manifest, outcomes, plain)
        for line in describe_ladder_power(facts, self.configs[0].model.vocab_size):
            print(line, file=sys.stderr)


def match_parameters(manifest: Manifest) -> Manifest:
    """Set the feed-forward widths of a study with ``design.solve_d_ff``."""
    if manifest.ladder is not None:
        arms = [arm for rung in manifest.rungs for arm in match_parameters(rung).arms]
        return dataclasses.replace(manifest, arms=arms)
    design = manifest.comparison
    if design is None or not design.solve_d_ff:
        return manifest
    baseline = from_dict(manifest.arms[manifest.names.index(design.baseline or manifest.names[0])])
    tolerance = design.tolerance.get("parameters", 0.0)
    arms = [
        content
        if name in design.keep_d_ff
        else match_width(from_dict(content), baseline, tolerance)
        for name, content in zip(manifest.names, manifest.arms, strict=True)
    ]
    return dataclasses.replace(manifest, arms=arms)


def _check_metric(design: Comparison, prepared: Mapping[str, RunData]) -> None:
    """Refuse bits per byte where ids came without their text, so that its bytes are not known."""
    if design.metric != "bits_per_byte":
        return
    for arm, data in prepared.items():
        if not data.valid.text_bytes(data.tokenizer):
            raise ConfigError(
                f"design.metric=bits_per_byte: the bytes of the validation text of {arm} are not "
                "known",
                "set data.bytes_per_token, give the text or a tokenizer that decodes the ids, or "
                "set design.metric=loss",
            )


def _assumed_sd(design: Comparison, config: RunConfig, data: RunData) -> tuple[float, str] | None:
    """Convert the scale's standard deviation, in nats per token, to bits per byte.

    None where the metric is the loss, or where the study declares a value of its own.
    """
    sd = config.scale.expected_sd
    num_bytes = data.valid.text_bytes(data.tokenizer)
    if design.metric == "loss" or design.expected_sd != sd or not num_bytes:
        return None
    tokens_per_byte = len(data.valid.tokens) / num_bytes
    source = f"assumed: scale.expected_sd={sd:g} nats per token"
    return sd / math.log(2) * tokens_per_byte, source


def _print_costs(costs: Mapping[str, fairness.ArmCosts]) -> None:
    for line in align_columns([fairness.TABLE_COLUMNS, *fairness.cost_table(costs)]):
        print(line, file=sys.stderr)
