"""The reader of command lines: every way to type an option, and every kind of mistake."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from lmlab.console.command_line import Command, CommandGroup
from lmlab.console.options import argument, at_least, one_of, option
from lmlab.errors import ConfigError, LockedError


@dataclasses.dataclass(frozen=True)
class Options:
    source: Path = argument(metavar="SOURCE", help="an input")
    others: tuple[Path, ...] = argument((), metavar="FILE", help="more inputs")
    vocab_size: int = option(valid=at_least(2), help="size")
    text: tuple[str, ...] = option((), help="texts of 100%")
    split: tuple[str, ...] = option((), nargs="+", help="more texts")
    special: tuple[str, ...] = option(("<end>",), nargs="*", help="special tokens")
    rate: float | None = option(None, help="rate")
    kind: str = option("a", valid=one_of("a", "b"), help="kind")
    dry_run: bool = option(False, help="do nothing")


received: list[Options] = []


def command(allow_abbrev: bool = False) -> Command[Options]:
    return Command(
        name="sample",
        options=Options,
        act=received.append,
        description="A sample.",
        examples=["in.txt --vocab-size 4", "in.txt vocab_size=4"],
        notes="A note.",
        allow_abbrev=allow_abbrev,
    )


def read(*arguments: str, allow_abbrev: bool = False) -> Options:
    return command(allow_abbrev).read(arguments)


@pytest.mark.parametrize(
    "size",
    [["vocab_size=7"], ["--vocab-size", "7"], ["--vocab-size=7"], ["--vocab_size", "7"],
     ["--vocab_size=7"], ["vocab-size=7"], ["vocab_size=7", "--vocab-size", "7"]],
)  # fmt: skip
@pytest.mark.parametrize("is_first", [True, False])
def test_a_value_can_be_typed_in_every_form(size: list[str], is_first: bool) -> None:
    arguments = [*size, "in.txt"] if is_first else ["in.txt", *size]
    assert read(*arguments) == Options(source=Path("in.txt"), vocab_size=7)


@pytest.mark.parametrize(
    ("flag", "value"),
    [
        (["--dry-run"], True),
        (["--dry_run"], True),
        (["dry_run=true"], True),
        (["--dry-run=true"], True),
        (["dry_run=false"], False),
        (["--dry-run", "dry_run=false"], False),
        (["dry_run=false", "--dry-run"], True),
        ([], False),
    ],
)
def test_a_flag_can_be_typed_in_every_form(flag: list[str], value: bool) -> None:
    assert read("in.txt", "vocab_size=7", *flag).dry_run is value


def test_positional_arguments_may_stand_between_options() -> None:
    options = read("a", "--vocab-size", "4", "b", "kind=b", "c")
    assert options.source == Path("a") and options.others == (Path("b"), Path("c"))


def test_several_values_of_one_option_are_refused() -> None:
    with pytest.raises(ConfigError, match="vocab_size=3 vocab_size=7: expected vocab_size once"):
        read("in.txt", "vocab_size=3", "--vocab-size", "7")
    with pytest.raises(ConfigError, match="source=a source=b: expected source once"):
        read("source=a", "--source", "b", "vocab_size=3")


def test_a_positional_argument_can_be_given_by_its_key() -> None:
    for arguments in (["source=a", "b"], ["b", "--source", "a"], ["--source=a", "b"], ["a", "b"]):
        options = read(*arguments, "vocab_size=4")
        assert (options.source, options.others) == (Path("a"), (Path("b"),))


def test_a_tuple_collects_its_values() -> None:
    options = read("a", "vocab_size=4", "text=one", "--text", "two", "text=", "text=a=b")
    assert options.text == ("one", "two", "", "a=b")
    options = read("a", "vocab_size=4", "--split", "one", "two", "--special", "--split", "three")
    assert options.split == ("one", "two", "three")
    assert options.special == (), "no value replaces the default"
    assert read("a", "vocab_size=4").special == ("<end>",)


def test_a_value_after_its_key_is_not_interpreted() -> None:
    options = read("a", "vocab_size=4", "--text", "kind=b", "--split", "rate=3", "kind=b")
    assert options.text == ("kind=b",)
    assert options.split == ("rate=3", "kind=b")
    assert (options.kind, options.rate) == ("a", None)


def test_a_negative_number_is_a_value() -> None:
    assert read("a", "vocab_size=4", "--rate", "-1e-3").rate == -0.001


def test_an_argument_with_another_key_is_positional() -> None:
    assert read("lr=0.1", "vocab_size=4").source == Path("lr=0.1")


def test_abbreviations_are_opt_in() -> None:
    assert read("a", "--voc", "4", allow_abbrev=True).vocab_size == 4
    with pytest.raises(ConfigError, match="--voc: expected one of the options"):
        read("a", "--voc", "4")
    with pytest.raises(ConfigError, match="ambiguous"):
        read("a", "vocab_size=4", "--s", "x", allow_abbrev=True)


@pytest.mark.parametrize(
    ("arguments", "message", "help"),
    [
        (["a"], "missing required option vocab_size=N", "--help"),
        (["vocab_size=4"], "missing required argument SOURCE", "--help"),
        ([], "missing required argument SOURCE and option vocab_size=N", "--help"),
        (["a", "vocab_size=1"], "vocab_size=1: expected an integer of 2 or more", None),
        (["a", "--vocab-size", "1"], "vocab_size=1: expected an integer of 2 or more", None),
        (["a", "--vocab-size"], "--vocab-size: expected one argument", "--help"),
        (["a", "--vocabsize", "4"], "--vocabsize: expected one of the options vocab_size, ",
         'did you mean "vocab_size"?'),
        (["a", "--knid=b"], "--knid=b: expected one of the options ", 'did you mean "kind"?'),
        (["a", "vocab_size=4", "kind=c"], "kind=c: expected one of a, b", None),
        (["a", "vocab_size=4", "dry_run=yes"], "dry_run=yes: expected true or false", None),
        (["a", "vocab_size=4", "-x"], "-x: expected one of the options ", "--help"),
    ],
)  # fmt: skip
def test_a_mistake_is_reported_with_its_fix(
    arguments: list[str], message: str, help: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command().run(arguments) == 2
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("error: ") and message in lines[0]
    assert len(lines) == (1 if help is None else 2)
    assert help is None or (lines[1].startswith("help: ") and help in lines[1])


@dataclasses.dataclass(frozen=True)
class Few:
    run: str = option(help="a run")
    one: str = argument("x", help="an argument")


@dataclasses.dataclass(frozen=True)
class Keys:
    run: str = option(help="a run")


def test_superfluous_arguments_are_refused() -> None:
    few = Command("few", Few, lambda options: None, "Few.")
    with pytest.raises(ConfigError, match="b: expected at most 1 positional argument"):
        few.read(["run=x", "a", "b"])
    keys = Command("keys", Keys, lambda options: None, "Keys.")
    with pytest.raises(ConfigError, match="a: expected key=value"):
        keys.read(["run=x", "a"])
    with pytest.raises(ConfigError, match="other=1: expected one of the options run"):
        keys.read(["run=x", "other=1"])


def test_the_exit_code_is_that_of_the_action(capsys: pytest.CaptureFixture[str]) -> None:
    def locked(options: Keys) -> None:
        raise LockedError("run is locked", "wait")

    def interrupted(options: Keys) -> None:
        raise KeyboardInterrupt

    assert Command("keys", Keys, lambda options: 3, "Keys.").run(["run=x"]) == 3
    assert Command("keys", Keys, lambda options: None, "Keys.").run(["run=x"]) == 0
    assert Command("keys", Keys, locked, "Keys.").run(["run=x"]) == LockedError.exit_code
    assert capsys.readouterr().err == "error: run is locked\nhelp: wait\n"
    stopped = Command("keys", Keys, interrupted, "Keys.", when_interrupted="nothing was saved")
    assert stopped.run(["run=x"]) == 130
    assert capsys.readouterr().err == "\nnothing was saved\n"


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], ["kind=wrong", "--help"]])
def test_help_is_complete(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert command().run(arguments) == 0
    text = capsys.readouterr().out
    usage = "usage: python -m lmlab.sample SOURCE [FILE ...] --vocab-size N [options]"
    assert text.splitlines()[0] == usage
    for field in dataclasses.fields(Options)[2:]:
        assert f"--{field.name.replace('_', '-')}" in text
    for part in ("A sample.", "SOURCE", "texts of 100%", "A note.", "vocab_size=N",
                 "python -m lmlab.sample in.txt --vocab-size 4", "default: <end>"):  # fmt: skip
        assert part in text
    assert "--no-dry-run" not in text
    assert text.endswith("\n") and not text.endswith("\n\n")


def test_a_command_is_named_as_it_was_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["lmlab sample", "--help"])
    assert command().help().startswith("usage: lmlab sample SOURCE")


def group(default: str | None) -> CommandGroup:
    done = Command("group list", Keys, lambda options: None, "Do nothing.", examples=["run=x"])
    fail = Command("group fail", Keys, lambda options: 5, "Fail.")
    return CommandGroup("group", "A group.", {"list": done, "fail": fail}, default)


def test_a_group_runs_its_subcommands(capsys: pytest.CaptureFixture[str]) -> None:
    assert group(None).run(["fail", "run=x"]) == 5
    assert group(None).run(["list", "--run", "x"]) == 0
    assert group("fail").run(["run=x"]) == group("fail").run(["--run", "x"]) == 5
    assert group(None).run(["--help"]) == 0
    text = capsys.readouterr().out
    for part in (
        "python -m lmlab.group list|fail",
        "Do nothing.",
        "python -m lmlab.group list run=x",
    ):
        assert part in text
    assert group("list").run(["fail", "--help"]) == 0
    assert "usage: python -m lmlab.group fail" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "default", "message"),
    [
        ([], None, "error: missing subcommand: expected one of list, fail\nhelp: run "),
        (["run=x"], None, "error: run=x: expected one of list, fail\nhelp: run "),
        (["lits"], "list", 'error: lits: expected one of list, fail\nhelp: did you mean "list"?'),
    ],
)
def test_an_unknown_subcommand_is_refused(
    arguments: list[str], default: str | None, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert group(default).run(arguments) == 2
    assert capsys.readouterr().err.startswith(message)
