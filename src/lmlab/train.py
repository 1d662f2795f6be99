"""``python -m lmlab.train``: compose a configuration, train, and print a summary."""

from __future__ import annotations

import contextlib
import gc
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

from lmlab.build.instantiate import instantiate
from lmlab.config import hydra_app
from lmlab.config.run_config import RunConfig
from lmlab.console.stdout import run_main
from lmlab.runtime.launch_env import read_launch_env, require_single_process


def train(config: RunConfig) -> int:
    """Execute the run, draw its learning curve, and print its summary. Returns the exit code."""
    if config.demo is not None:
        require_single_process("a demo")
        return run_demo(config)
    # Importing torch takes seconds; mistakes in the configuration are reported before.
    with _garbage_collection_disabled():
        import torch._dynamo  # noqa: F401  the first optimizer would import it, more slowly

        from lmlab.console.logging import log_to_stderr
        from lmlab.runs.execute import execute
        from lmlab.runs.run_summary import describe

    log_to_stderr()
    outcome = execute(config)
    if not read_launch_env().is_rank0:
        return outcome.exit_code
    if outcome.run.rows():
        from lmlab.study.learning_curve import draw_learning_curve
        from lmlab.study.probe_figure import draw_run_probes
        from lmlab.study.task_figure import draw_run_tasks

        draw_learning_curve(outcome.run.path)
        draw_run_probes(outcome.run.path)
        draw_run_tasks(outcome.run.path)
    print(describe(outcome.run))
    return outcome.exit_code


@contextlib.contextmanager
def _garbage_collection_disabled() -> Iterator[None]:
    """Import without garbage collection, and exempt the imported objects from later ones."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def run_demo(config: RunConfig) -> int:
    """Run the demo that ``config`` chooses, and print its report. Returns the exit code."""
    from lmlab.console.logging import log_to_stderr
    from lmlab.demos.write_demo import write_demo
    from lmlab.study.index_page import write_index

    assert config.demo is not None
    log_to_stderr()
    demo = instantiate(config.demo, config=config)
    command = shlex.join(["python", "-m", "lmlab.train", *sys.argv[1:]])
    paths = write_demo(demo, Path(config.output_root) / config.study, command)
    print(paths[0].read_text("utf-8"))
    print(f"report: {paths[1]}")
    print(f"all studies: {write_index(Path(config.output_root))}")
    return 0


def main(argv: list[str]) -> int:
    """Run the command line; return its exit code."""
    return hydra_app.main(argv, train)


if __name__ == "__main__":
    run_main(main)
