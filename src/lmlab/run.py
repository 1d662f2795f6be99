"""``python -m lmlab.run <frozen.yaml>``: one frozen configuration becomes one run folder.

Rerunning is always safe: a finished run is passed over, an unfinished one goes on from its last
checkpoint, and another configuration never lands in the same folder.
"""

from __future__ import annotations

import dataclasses
import logging
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

from lmlab import assemble
from lmlab.config.compose import Config, load_frozen
from lmlab.errors import LockedError, UserError
from lmlab.extension import find_parent
from lmlab.preflight.flight import Flight, check_early
from lmlab.run_folder import FINISHED, RunFolder, choose, describe, find_registered
from lmlab.session import Session

LOCKED_EXIT_CODE = 75  # EX_TEMPFAIL: another process writes this run

log = logging.getLogger("lmlab.run")  # also where this module is __main__


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What came of a run: its folder, and the exit code of the process that ran it."""

    run: RunFolder
    exit_code: int


def execute(config: Config) -> Outcome:
    """Bring the run of ``config`` to its end, from wherever it stands.

    Returns:
        Exit code 0 for a run that is done or has diverged (a result, not a failure), 1 for one
        that failed, and 128 + n for one that signal n stopped, to go on when rerun.

    Raises:
        UserError: a setting, the data or the machine does not allow the run.
    """
    assemble.check_source(config)
    device = assemble.build_device(config)
    device.apply()
    if not _first_choice(config).exists():
        check_early(config, device)
    texts = assemble.prepare_texts(config)
    identity = assemble.identity(config, texts, device)
    run, different = locate(config, identity)
    if different:
        log.info(
            "%s holds another configuration, so this run goes to %s; there -> here:\n  %s",
            _first_choice(config),
            run.path,
            "\n  ".join(different),
        )
    elif run.path != _first_choice(config):
        log.info("the run of this configuration is %s", run.path)
    if run.status().get("status") in FINISHED:
        log.info("finished before: nothing to do")
        return Outcome(run, 0)
    parent = find_parent(config, identity)
    flight = Flight.prepare(config, device, texts, run)
    state = assemble.build_state(config, device)
    is_new = not run.path.exists()
    try:
        with run.lock():
            session = Session(config, run, device, texts, identity, state, parent, flight)
            return Outcome(run, session.run_to_end())
    except UserError:
        if is_new and not run.rows():
            shutil.rmtree(run.path, ignore_errors=True)
        raise


def locate(config: Config, identity: dict[str, Any]) -> tuple[RunFolder, list[str]]:
    """The folder of a run: where any study has it, else where its names say.

    Returns:
        The folder; and, where its name is taken by another configuration, how that one differs.
    """
    if config.reuse:
        found = find_registered(Path(config.output_root), identity)
        if found is not None:
            return found, []
    return choose(_first_choice(config), identity)


def _first_choice(config: Config) -> Path:
    return Path(config.output_root) / config.study / config.arm / f"seed{config.seed}"


def show_log() -> None:
    """Let a person see lmlab's log on stderr."""
    logger = logging.getLogger("lmlab")
    logger.setLevel(logging.INFO)
    logger.addHandler(logging.StreamHandler())


def main(argv: list[str]) -> int:
    """Run the frozen configuration at ``argv[0]``; see :func:`execute` for the exit codes."""
    if len(argv) != 1 or argv[0] in ("-h", "--help"):
        print("usage: python -m lmlab.run FROZEN.yaml    (see python -m lmlab.train --help)")
        return 0 if argv[:1] in (["-h"], ["--help"]) else 2
    show_log()
    try:
        outcome = execute(load_frozen(Path(argv[0])))
    except LockedError as error:
        print(f"error: {error}", file=sys.stderr)
        return LOCKED_EXIT_CODE
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted before training began; the same command starts again", file=sys.stderr)
        return 128 + signal.SIGINT
    print(describe(outcome.run))
    return outcome.exit_code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
