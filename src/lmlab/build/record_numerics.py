"""Record the code of lmlab that computes numbers, after a change to it.

    python -m lmlab.build.record_numerics --check
    python -m lmlab.build.record_numerics --same-numbers "Attention split into two functions"
    python -m lmlab.build.record_numerics --raise cpu,cuda,mps --reason "Norms in float64"

The first compares. The second records, runs the golden tests, and takes the record back if they
fail: with a record that is not up to date, they would find other identities. The third raises the
numerics version of these device types, so that every run on them is another run.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lmlab.build import identity
from lmlab.build.numeric_files import PACKAGE, RECORD, numeric_files, read_record, record_of
from lmlab.build.numerics import compare

# Losses, weights and texts that earlier versions computed.
GOLDEN_TESTS = (
    "tests/integration/run/test_combinations.py::test_losses_equal_the_golden_values",
    "tests/integration/run/test_policies.py::test_losses_bits_and_resume",
    "tests/integration/compatibility/test_runs_kept_from_before.py",
)
_CHECKOUT = PACKAGE.parents[1]
_UNTESTED = "being tested"


def changed_paths() -> list[str]:
    """Return the files whose record is not up to date, by path below src/lmlab."""
    files, record = numeric_files(), read_record()
    changes = compare(record, files)
    new = files.keys() - record.keys()
    return sorted({*changes.files, *changes.added, *new, *_untested()})


def _untested() -> list[str]:
    """Return the files of a record whose golden tests have not ended, as after a kill."""
    log = json.loads(RECORD.read_bytes())["log"] if RECORD.exists() else []
    return [path for entry in log if entry["numbers"] == _UNTESTED for path in entry["files"]]


def advice(paths: Sequence[str]) -> str:
    """Return what to do where the record is not up to date."""
    return (
        f"{', '.join(paths)}: changed since {RECORD.name} was written. If the numbers are the "
        'same, run python -m lmlab.build.record_numerics --same-numbers "REASON"; if not, run it '
        'with --raise cpu,cuda,mps --reason "REASON"'
    )


def write_record(entry: dict[str, Any] | None = None) -> None:
    """Write the hashes of all files, one line each, and append an entry to the log."""
    log: list[Any] = json.loads(RECORD.read_bytes())["log"] if RECORD.exists() else []
    log = [one for one in log if one["numbers"] != _UNTESTED]
    files = {
        path: record_of(path, place.read_bytes()).write()
        for path, place in sorted(numeric_files().items())
    }
    log += [entry] if entry else []
    RECORD.write_text(json.dumps({"files": files, "log": log}, indent=1) + "\n", "utf-8")


def raise_versions(kinds: Sequence[str]) -> None:
    """Add one to the numerics version of device types, in the source."""
    path = Path(identity.__file__)
    versions = identity.NUMERICS_VERSIONS
    raised = {kind: number + (kind in kinds) for kind, number in versions.items()}
    line = "NUMERICS_VERSIONS = " + json.dumps(raised)
    text, number = re.subn(r"^NUMERICS_VERSIONS = .*$", line, path.read_text("utf-8"), flags=re.M)
    assert number == 1, path
    path.write_text(text, "utf-8")


def run_golden_tests() -> bool:
    """Run the golden tests of the checkout; return whether they pass."""
    command = [sys.executable, "-m", "pytest", "-q", "-x", *GOLDEN_TESTS]
    return subprocess.run(command, cwd=_CHECKOUT).returncode == 0


def _golden_tests_pass(before: bytes | None) -> bool:
    """Run the golden tests; unless they pass, put the record ``before`` back."""
    passed = False
    try:
        passed = run_golden_tests()
    finally:
        if not passed:
            RECORD.unlink() if before is None else RECORD.write_bytes(before)
    return passed


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare or write the record; return the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    choice = parser.add_mutually_exclusive_group(required=True)
    choice.add_argument("--check", action="store_true", help="exit with 1 if files have changed")
    choice.add_argument("--same-numbers", metavar="REASON", help="test that nothing changed")
    choice.add_argument("--raise", dest="kinds", metavar="KINDS", help="device types, by commas")
    parser.add_argument("--reason", help="why numbers changed; with --raise")
    options = parser.parse_args(arguments)
    kinds = options.kinds.split(",") if options.kinds else []
    if not set(kinds) <= identity.NUMERICS_VERSIONS.keys():
        parser.error(f"--raise={options.kinds}: expected some of cpu,cuda,mps")
    if bool(kinds) != bool(options.reason) or options.same_numbers == "":
        parser.error("expected a reason: --same-numbers REASON, or --raise KINDS --reason REASON")
    paths = changed_paths()
    if options.check:
        print(advice(paths) if paths else "up to date")
        return 1 if paths else 0
    if not paths and not kinds:
        write_record()  # bytes may differ in formatting
        print("unchanged")
        return 0
    if kinds:
        raise_versions(kinds)
    reason = options.reason or options.same_numbers
    entry = {"date": time.strftime("%Y-%m-%d", time.gmtime()), "files": paths, "reason": reason}
    before = RECORD.read_bytes() if RECORD.exists() else None
    if kinds:
        write_record(entry | {"numbers": f"raised: {', '.join(kinds)}"})
    else:
        write_record(entry | {"numbers": _UNTESTED})
        if not _golden_tests_pass(before):
            print("error: the golden tests failed, so nothing was recorded", file=sys.stderr)
            return 1
        write_record(entry | {"numbers": "same"})
    print(f"recorded: {', '.join(paths) or 'no change'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
