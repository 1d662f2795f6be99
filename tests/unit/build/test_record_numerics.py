from __future__ import annotations

import json
from pathlib import Path

import pytest

from lmlab.build import identity, numeric_files, record_numerics
from lmlab.build.record_numerics import main


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package with a record that is up to date, and golden tests that pass."""
    (tmp_path / "nn").mkdir()
    (tmp_path / "nn" / "ffn.py").write_text("x = 1\n")
    (tmp_path / "identity.py").write_text("NUMERICS_VERSIONS = {}\n")
    record = tmp_path / "record.json"
    for module in (numeric_files, record_numerics):
        monkeypatch.setattr(module, "RECORD", record)
    monkeypatch.setattr(
        record_numerics, "numeric_files", lambda: numeric_files.numeric_files(tmp_path)
    )
    monkeypatch.setattr(record_numerics, "run_golden_tests", lambda: True)
    monkeypatch.setattr(identity, "__file__", str(tmp_path / "identity.py"))
    record_numerics.write_record()
    return tmp_path


def test_the_record_is_up_to_date() -> None:
    paths = record_numerics.changed_paths()
    assert paths == [], record_numerics.advice(paths)


def read(package: Path) -> dict:
    return json.loads((package / "record.json").read_text())


def test_a_record_that_is_not_up_to_date_says_what_to_do(package: Path, capsys) -> None:
    assert main(["--check"]) == 0
    (package / "nn" / "ffn.py").write_text("x = 2\n")
    (package / "nn" / "new.py").write_text("")
    assert main(["--check"]) == 1
    printed = capsys.readouterr().out
    assert "nn/ffn.py, nn/new.py" in printed and "--same-numbers" in printed


def test_same_numbers_are_recorded_with_a_reason_if_the_golden_tests_pass(package: Path) -> None:
    (package / "nn" / "ffn.py").write_text("x = 1 + 0\n")
    assert main(["--same-numbers", "Written as a sum"]) == 0
    assert main(["--check"]) == 0
    (entry,) = read(package)["log"]
    assert (entry["files"], entry["reason"], entry["numbers"]) == (
        ["nn/ffn.py"], "Written as a sum", "same",
    )  # fmt: skip


def test_nothing_is_recorded_if_the_golden_tests_fail(
    package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record_numerics, "run_golden_tests", lambda: False)
    (package / "nn" / "ffn.py").write_text("x = 2\n")
    before = read(package)
    assert main(["--same-numbers", "A wrong claim"]) == 1
    assert read(package) == before and main(["--check"]) == 1


def test_a_record_whose_golden_tests_were_killed_is_not_up_to_date(
    package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record, meanwhile = package / "record.json", []

    def watch() -> bool:
        meanwhile.append(record.read_bytes())
        return True

    monkeypatch.setattr(record_numerics, "run_golden_tests", watch)
    (package / "nn" / "ffn.py").write_text("x = 1 + 0\n")
    assert main(["--same-numbers", "Written as a sum"]) == 0
    record.write_bytes(meanwhile[0])  # as a kill during the tests leaves it
    assert main(["--check"]) == 1
    assert main(["--same-numbers", "Once more"]) == 0 and main(["--check"]) == 0
    assert [(one["reason"], one["numbers"]) for one in read(package)["log"]] == [
        ("Once more", "same")
    ]


def test_raising_changes_the_versions_in_the_source(package: Path) -> None:
    (package / "nn" / "ffn.py").write_text("x = 2\n")
    assert main(["--raise", "cpu,mps", "--reason", "Twice as much"]) == 0
    raised = identity.NUMERICS_VERSIONS | {
        kind: identity.NUMERICS_VERSIONS[kind] + 1 for kind in ("cpu", "mps")
    }
    text = (package / "identity.py").read_text()
    assert text == f"NUMERICS_VERSIONS = {json.dumps(raised)}\n"
    assert read(package)["log"][0]["numbers"] == "raised: cpu, mps" and main(["--check"]) == 0


def test_formatting_needs_no_reason_in_the_log(package: Path) -> None:
    (package / "nn" / "ffn.py").write_text("# a comment\nx = 1\n")
    assert main(["--check"]) == 0
    assert main(["--same-numbers", "Formatting"]) == 0 and read(package)["log"] == []


@pytest.mark.parametrize(
    "arguments",
    [["--same-numbers", ""], ["--raise", "cpu"], ["--raise", "tpu", "--reason", "x"], [],
     ["--check", "--same-numbers", "x"]],
)  # fmt: skip
def test_a_reason_is_needed(package: Path, arguments: list[str]) -> None:
    with pytest.raises(SystemExit):
        main(arguments)


def test_the_golden_tests_are_there() -> None:
    for test in record_numerics.GOLDEN_TESTS:
        file, _, name = test.partition("::")
        assert f"def {name}" in (numeric_files.PACKAGE.parents[1] / file).read_text("utf-8")
