"""``python -m lmlab.forecast study=<folder> flops=<number>``: what a budget would buy."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

from lmlab.console.command_line import Command
from lmlab.console.formatting import align_columns
from lmlab.console.options import Valid, at_least, option
from lmlab.console.stdout import run_main

_POSITIVE = Valid(lambda value: 0 < value < math.inf, "a positive number, such as 1e15")


@dataclasses.dataclass(frozen=True)
class Options:
    """The options of the command."""

    study: Path = option(
        by_position=True,
        aliases=("run", "folder"),
        metavar="STUDY",
        help="outputs/<study> of a ladder or an isoFLOP study, or a published folder",
    )
    flops: float = option(
        by_position=True, valid=_POSITIVE, help="training compute: of forward and backward passes"
    )
    seeds: int = option(1, valid=at_least(1), help="number of runs whose mean loss is predicted")


def act(options: Options) -> None:
    """Print the predicted losses, and the configuration that the study recommends."""
    # scipy takes half a second to import; mistakes in the options are reported before.
    from lmlab.study.ladders.budget_forecast import forecast_budget, forecast_rows, size_lines
    from lmlab.study.run_records import load_study

    study = load_study(options.study)
    found = forecast_budget(study, options.flops, options.seeds)
    beyond = f"{found.factor:.3g} times the highest complete rung of {study.name}"
    print(f"{options.flops:.3g} training FLOPs, {beyond}")
    if found.losses:
        for line in align_columns(forecast_rows(found)):
            print(line)
    for line in size_lines(found):
        print(line)
    if found.command:
        print(found.command)


COMMAND = Command(
    name="forecast",
    options=Options,
    act=act,
    description="Predict the loss of a budget of training compute from a ladder or an isoFLOP\n"
    "study, and recommend a configuration for it.",
    examples=["outputs/ladder 1e15", "study=outputs/isoflop flops=1e15 seeds=3"],
    allow_abbrev=True,
)


def main(argv: list[str]) -> int:
    """Run the command; return its exit code."""
    return COMMAND.run(argv)


if __name__ == "__main__":
    run_main(main)
