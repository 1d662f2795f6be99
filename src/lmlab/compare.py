"""``python -m lmlab.compare``: compare runs that no study planned."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from lmlab.console.command_line import Command
from lmlab.console.options import Valid, argument, one_of, option
from lmlab.console.stdout import run_main
from lmlab.errors import ConfigError
from lmlab.storage.json_text import dump_json

_GROUP = "a run folder, a folder with run folders, or a glob in quotes"


@dataclasses.dataclass(frozen=True)
class Options:
    """The options of the command."""

    runs: tuple[str, ...] = argument(
        metavar="RUN_OR_GLOB",
        help=f"A and B, each {_GROUP}; the runs of each differ in their seeds alone, and A is the "
        "reference",
        aliases=("run",),
    )
    to: Path | None = option(
        None,
        metavar="FOLDER",
        aliases=("out",),
        help="folder for the report; null: comparisons/B-against-A in the output folder",
    )
    margin: float = option(
        0.0,
        valid=Valid(lambda value: 0 <= value < float("inf"), "a finite number, 0 or more"),
        help="largest difference that counts as none, in nats per token, or in bits per byte if "
        "the tokenizers differ",
    )
    alpha: float = option(
        0.05, valid=Valid(lambda value: 0 < value < 1, "a number between 0 and 1"),
        help="level of the test",
    )  # fmt: skip
    test: str = option(
        "auto",
        valid=one_of("auto", "t", "sign_flips"),
        help="test of runs with equal seeds; auto: sign_flips from six pairs on",
    )
    allow: str = option(
        "",
        metavar="context,evaluation",
        help="compare nevertheless where these differ",
    )
    json: bool = option(False, help="print the result as JSON")

    def __post_init__(self) -> None:
        if len(self.runs) != 2:
            raise ConfigError(
                f"compare: expected two groups of runs, found {len(self.runs)}",
                "put a glob in quotes, as in 'outputs/runs/default/*'",
            )


def compare(options: Options) -> int:
    """Compare, write the report and print its result. Returns the exit code."""
    # Importing matplotlib and scipy takes a second; mistakes in the options are reported before.
    from lmlab.study.exploratory.comparability import NotComparable, check_allowed
    from lmlab.study.exploratory.write_comparison import Choices, compare_runs, write_comparison

    allow = tuple(name.strip() for name in options.allow.strip("[]").split(",") if name.strip())
    check_allowed(allow)
    choices = Choices(options.margin, options.alpha, options.test, allow)
    try:
        content = compare_runs(options.runs[0], options.runs[1], choices)
    except NotComparable as error:
        if not options.json:
            raise
        print(dump_json(error.as_dict(), indent=2))
        return error.exit_code
    lines = write_comparison(content, options.to)
    print(dump_json(content["result"], indent=2) if options.json else "\n".join(lines))
    return 0


COMMAND = Command(
    name="compare",
    options=Options,
    act=compare,
    description="Compare runs that no study planned: cost and data, what differs, curves, and a\n"
    "verdict that is marked as exploratory.",
    notes="Runs with equal seeds are compared in pairs, others by Welch's test. The exit code is 1 "
    "if the losses of the runs cannot be compared.",
    examples=[
        "outputs/runs/default/seed0 outputs/runs/model.norm-post/seed0",
        "outputs/runs/default outputs/runs/model.norm-post margin=0.01",
        "'outputs/runs/default/seed[0-4]' 'outputs/runs/model.norm-post/seed[0-4]' --json",
    ],
)


def main(argv: list[str]) -> int:
    """Run the command; return its exit code."""
    return COMMAND.run(argv)


if __name__ == "__main__":
    run_main(main)
