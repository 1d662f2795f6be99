"""The command line of ``python -m lmlab.judge``."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from lmlab.console.command_line import Command, CommandGroup
from lmlab.console.options import at_least, one_of, option
from lmlab.console.stdout import run_main
from lmlab.judge.admission import check_open, known_overrides
from lmlab.judge.guards import check_baseline, check_overrides
from lmlab.judge.ledger import Ledger
from lmlab.judge.overrides import plain_overrides
from lmlab.judge.place import check_name, find_ledger
from lmlab.judge.stream import Stream, read_stream
from lmlab.storage.json_text import dump_json

_LEDGER = "folder of the ledger; if omitted, the only one in outputs/judge"
_JSON = "print JSON, for programs"
_LAUNCHER = (
    "where runs are trained, such as [hydra/launcher=slurm,hydra.launcher.gpus=1]; if omitted, here"
)


@dataclasses.dataclass(frozen=True)
class StartOptions:
    """The options of ``start``."""

    name: str = option(by_position=True, metavar="NAME", help="name of the ledger")
    ledger: Path | None = option(
        None, metavar="FOLDER", help="folder of the ledger; null: outputs/judge/NAME"
    )
    baseline: tuple[str, ...] = option(
        (), metavar="[KEY=VALUE,...]", help="settings of the baseline, as for lmlab.train"
    )
    margin: float | None = option(
        None,
        help="smallest improvement of interest, in the unit of the metric; null: scale.margin",
    )
    metric: str = option("loss", valid=one_of("loss", "bits_per_byte"), help="what is to improve")
    level: float = option(0.05, help="error rate over all ideas that the ledger will ever see")
    control: str = option(
        "fdr",
        valid=one_of("fdr", "fwer"),
        help="the error rate: the expected share of false keeps among the ideas kept, or the "
        "probability of any false keep",
    )
    max_seeds: int = option(12, valid=at_least(4, 50), help="most pairs of runs per idea")
    drop_level: float = option(
        0.05, help="probability that an idea which improves by the margin is dropped"
    )
    lr: str = option(
        "search",
        valid=one_of("search", "fixed"),
        help="whether each idea gets its own learning rate, found on other seeds",
    )
    tuning_seeds: int | None = option(
        None, valid=at_least(1), help="runs per learning rate; null: scale.num_tuning_seeds"
    )
    seeds: str = option(
        "shared",
        valid=one_of("shared", "fresh"),
        help="whether ideas share the baseline's runs, or each has seeds of its own",
    )
    first_seed: int = option(0, valid=at_least(0), help="first seed that judges")
    moves: bool = option(
        True, help="an idea that is kept becomes the baseline; --no-moves: it does not"
    )
    allow: tuple[str, ...] = option(
        (), metavar="[QUANTITY,...]", help="what ideas may differ in, such as parameters and flops"
    )
    final_text: str | None = option(
        None, metavar="FILE", help="held-out text for judge final, used once; null: none"
    )
    json: bool = option(False, help=_JSON)


@dataclasses.dataclass(frozen=True)
class AddOptions:
    """The options of ``add``."""

    name: str = option(by_position=True, metavar="NAME", help="name of the idea")
    overrides: tuple[str, ...] = option(
        (),
        metavar="[KEY=VALUE,...]",
        help="its settings, on top of the standing baseline; needed for a new idea",
    )
    ledger: Path | None = option(None, metavar="FOLDER", help=_LEDGER)
    wave: int = option(
        1, valid=at_least(1), help="pairs that are trained at a time, after the first three"
    )
    launcher: tuple[str, ...] = option((), metavar="[KEY=VALUE,...]", help=_LAUNCHER)
    plan: bool = option(False, help="print what the trial would take, and start nothing")
    json: bool = option(False, help=_JSON)


@dataclasses.dataclass(frozen=True)
class ShowOptions:
    """The options of ``show``."""

    ledger: Path | None = option(None, by_position=True, metavar="FOLDER", help=_LEDGER)
    json: bool = option(False, help=_JSON)


@dataclasses.dataclass(frozen=True)
class GiveUpOptions:
    """The options of ``give-up``."""

    name: str = option(by_position=True, metavar="NAME", help="name of an open idea")
    ledger: Path | None = option(None, metavar="FOLDER", help=_LEDGER)


@dataclasses.dataclass(frozen=True)
class FinalOptions:
    """The options of ``final``."""

    ledger: Path | None = option(None, by_position=True, metavar="FOLDER", help=_LEDGER)
    launcher: tuple[str, ...] = option((), metavar="[KEY=VALUE,...]", help=_LAUNCHER)
    json: bool = option(False, help=_JSON)


def start_ledger(options: StartOptions) -> None:
    """Start a ledger, and print its terms."""
    given = {
        key: getattr(options, key)
        for key in ("margin", "metric", "level", "control", "max_seeds", "drop_level", "lr",
                    "seeds", "first_seed", "moves", "final_text")
    }  # fmt: skip
    given |= {
        "num_tuning_seeds": options.tuning_seeds, "allow": plain_overrides(options.allow)
    }  # fmt: skip
    baseline = plain_overrides(options.baseline)
    check_name(options.name)
    check_baseline(baseline)
    # torch takes seconds to import; mistakes in the options are reported before.
    from lmlab.judge.start import start

    ledger, stream = start(options.ledger, options.name, baseline, given)
    _show(stream, ledger, options.json)


def add_idea(options: AddOptions) -> int:
    """Try an idea, and print its answer. Returns the exit code."""
    overrides = plain_overrides(options.overrides)
    check_name(options.name)
    check_overrides(overrides)
    ledger = find_ledger(options.ledger)
    known_overrides(_read(ledger), options.name, overrides)  # before a lock, and torch
    if options.plan:
        return _act_on_idea(ledger, options, overrides)
    with ledger.lock():
        return _act_on_idea(ledger, options, overrides)


def _act_on_idea(ledger: Ledger, options: AddOptions, overrides: tuple[str, ...]) -> int:
    from lmlab.judge import trial as trials
    from lmlab.judge.views import describe_trial, trial_content
    from lmlab.judge.wave import make_launcher

    stream = _read(ledger)
    known = known_overrides(stream, options.name, overrides)
    launcher = make_launcher(plain_overrides(options.launcher))
    trial, arms = trials.prepare(stream, options.name, known)
    if options.plan and arms is not None:
        from lmlab.judge.forecast import describe_plan

        lines = list(describe_plan(stream, trial, arms))
        print(dump_json({"plan": lines}, indent=2) if options.json else "\n".join(lines))
        return 0
    code = 0
    if arms is None:
        trials.say(f"these settings were tried as {trial.name}; the answer is in the ledger")
    else:
        trials.begin(ledger, stream, trial)
        code, trial = trials.try_idea(ledger, trial, arms, launcher, options.wave)
    stream = _read(ledger)
    if code:
        trials.say(f"{trial.name}: not answered; rerun the command to continue")
    elif options.json:
        print(dump_json(trial_content(trial, stream), indent=2))
    else:
        print(describe_trial(trial, stream))
    return code


def show(options: ShowOptions) -> None:
    """Print the ideas of a ledger with their answers."""
    ledger = find_ledger(options.ledger)
    _show(_read(ledger), ledger, options.json)


def give_up_idea(options: GiveUpOptions) -> None:
    """Drop an idea whose runs fail, so that others can go on."""
    ledger = find_ledger(options.ledger)
    _read(ledger)
    from lmlab.judge.trial import give_up
    from lmlab.judge.views import describe_trial

    with ledger.lock():
        trial = give_up(ledger, _read(ledger), options.name)
    print(describe_trial(trial, _read(ledger)))


def speak_last_word(options: FinalOptions) -> int:
    """Compare the standing baseline with the first one on the held-out text, once."""
    ledger = find_ledger(options.ledger)
    check_open(_read(ledger))
    # torch takes seconds to import; what the ledger alone shows is reported before.
    from lmlab.judge.final import check_final, speak
    from lmlab.judge.trial import say
    from lmlab.judge.wave import make_launcher

    check_final(_read(ledger), ledger)
    with ledger.lock():
        stream = _read(ledger)
        code = speak(ledger, stream, make_launcher(plain_overrides(options.launcher)))
    if code:
        say("no last word yet; rerun the command to continue")
        return code
    _show(_read(ledger), ledger, options.json)
    return 0


def _read(ledger: Ledger) -> Stream:
    return read_stream(ledger.rows())


def _show(stream: Stream, ledger: Ledger, as_json: bool) -> None:
    from lmlab.judge.views import describe_stream, stream_content

    content: dict[str, Any] = stream_content(stream, ledger)
    print(dump_json(content, indent=2) if as_json else "\n".join(describe_stream(stream)))


_INTERRUPTED = "interrupted; rerun the command to continue"

COMMAND = CommandGroup(
    name="judge",
    description="Try idea after idea against a standing baseline, and keep the rate of false keeps "
    "over all of them.",
    default="show",
    commands={
        "start": Command(
            name="judge start",
            options=StartOptions,
            act=start_ledger,
            description="Start a ledger: its baseline, its margin and its error rate.",
            notes="Nothing is trained yet. What measures the ideas is pinned: the validation text, "
            "the tokenizer, the settings of validation, and the code that evaluates and decides.",
            examples=[
                "ideas baseline=[scale=cpu]",
                "wide baseline=[scale=cpu,model.d_model=128] margin=0.01 final_text=held-out.txt",
            ],
        ),
        "add": Command(
            name="judge add",
            options=AddOptions,
            act=add_idea,
            description="Try an idea: train pairs of runs until it is kept, dropped, or cannot be "
            "told.",
            notes="After Ctrl-C or a kill, the same command continues. An idea that was tried "
            "before, under whatever name, is answered from the ledger.",
            examples=[
                "name=post overrides=[model.norm=post]",
                "name=post overrides=[model.norm=post] --plan",
            ],
            when_interrupted=_INTERRUPTED,
        ),
        "show": Command(
            name="judge show",
            options=ShowOptions,
            act=show,
            description="Show the ideas of a ledger, their answers and the standing baseline.",
            examples=["", "outputs/judge/ideas --json"],
        ),
        "give-up": Command(
            name="judge give-up",
            options=GiveUpOptions,
            act=give_up_idea,
            description="Drop an open idea whose runs fail. Its level stays spent.",
            examples=["name=post"],
        ),
        "final": Command(
            name="judge final",
            options=FinalOptions,
            act=speak_last_word,
            description="Compare the standing baseline with the first one, on held-out text, once.",
            notes="Both are trained on seeds that no idea has used. After it, the ledger takes no "
            "further ideas.",
            examples=["outputs/judge/ideas"],
            when_interrupted=_INTERRUPTED,
        ),
    },
)


def main(argv: list[str]) -> int:
    """Run the command; return its exit code."""
    return COMMAND.run(["show", *argv[1:]] if argv[:1] == ["status"] else argv)


if __name__ == "__main__":
    run_main(main)
