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

from lmlab import assemble, resolve
from lmlab.config.compose import Config, load_frozen
from lmlab.config.share import share_of
from lmlab.device import Device
from lmlab.errors import UserError
from lmlab.extension import find_parent
from lmlab.follower import Follower
from lmlab.preflight.flight import Flight, check_early
from lmlab.ranks.group import join
from lmlab.ranks.ranks import Ranks
from lmlab.ranks.world import read_world, tell
from lmlab.run_folder import FINISHED, RunFolder, choose, describe, find_registered
from lmlab.session import Session

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
    with join(config.runtime.parallel, read_world()) as ranks:
        share = share_of(config, ranks.size)
        device = ranks.place(resolve.build_device(config))
        assemble.check_parallel(config, device, ranks)
        device.apply(ranks.core_sharers)
        if not assemble.first_choice(config).exists():
            check_early(share, device, ranks)
        texts = ranks.from_writer(lambda: assemble.prepare_texts(config))
        identity = assemble.identity(config, texts, device)
        run, is_finished = ranks.from_writer(lambda: _find(config, identity))
        if is_finished:
            log.info("finished before: nothing to do")
            return Outcome(run, 0)
        if not ranks.is_writer:
            state = assemble.build_state(config, device, ranks)
            return Outcome(run, Follower(config, device, texts, state, ranks).run_to_end())
        return _write(config, share, run, device, texts, identity, ranks)


def _find(config: Config, identity: dict[str, Any]) -> tuple[RunFolder, bool]:
    """The folder of a run, and whether it is finished; say so where it is not the first choice."""
    run, different = locate(config, identity)
    if different:
        log.info(
            "%s holds another configuration, so this run goes to %s; there -> here:\n  %s",
            assemble.first_choice(config),
            run.path,
            "\n  ".join(different),
        )
    elif run.path != assemble.first_choice(config):
        log.info("the run of this configuration is %s", run.path)
    return run, run.status().get("status") in FINISHED


def _write(
    config: Config,
    share: Config,
    run: RunFolder,
    device: Device,
    texts: assemble.Texts,
    identity: dict[str, Any],
    ranks: Ranks,
) -> Outcome:
    parent = find_parent(config, identity)
    flight = Flight.prepare(share, device, texts, run, alone=ranks.size == 1, ranks=ranks)
    state = assemble.build_state(config, device, ranks)
    is_new = not run.path.exists()
    try:
        with run.lock():
            session = Session(config, run, device, texts, identity, state, parent, flight, ranks)
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
    return choose(assemble.first_choice(config), identity)


def show_log() -> None:
    """Let a person see lmlab's log on stderr; of the ranks besides rank 0 the warnings only."""
    logger = logging.getLogger("lmlab")
    logger.setLevel(logging.INFO if read_world().is_writer else logging.WARNING)
    logger.addHandler(logging.StreamHandler())


def main(argv: list[str]) -> int:
    """Run the frozen configuration at ``argv[0]``; see :func:`execute` for the exit codes."""
    if len(argv) != 1 or argv[0] in ("-h", "--help"):
        print("usage: python -m lmlab.run FROZEN.yaml    (see python -m lmlab.train --help)")
        return 0 if argv[:1] in (["-h"], ["--help"]) else 2
    try:
        show_log()
        outcome = execute(load_frozen(Path(argv[0])))
    except UserError as error:
        tell(error)
        return error.exit_code
    except KeyboardInterrupt:
        print("interrupted before training began; the same command starts again", file=sys.stderr)
        return 128 + signal.SIGINT
    if read_world().is_writer:
        print(describe(outcome.run))
    return outcome.exit_code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
