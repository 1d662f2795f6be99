"""Hydra's argument parser, built so that Python 3.14 accepts it.

Hydra 1.3 gives ``--shell-completion`` an object as its help that becomes text when it is printed.
From Python 3.14, :mod:`argparse` reads every help as text when the argument is added, and raises
``ValueError: badly formed help string`` (Hydra 1.3.8, Python 3.14.0 to 3.14.10, 2026-11-29).
"""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Iterator
from typing import Any

from hydra._internal import utils

from lmlab.runtime.provenance import LMLAB_VERSION


class _LazyText(str):
    """Text for argparse's check that is rendered by ``source`` when it is printed."""

    source: object

    def __str__(self) -> str:
        return str(self.source)


def hydra_parser() -> argparse.ArgumentParser:
    """Return the parser of Hydra's own options, ``--config``, and the overrides.

    ``--version`` prints the version of lmlab, like the ``lmlab`` program.
    """
    with _help_as_text():
        parser = utils.get_args_parser()
        parser.add_argument(
            "--config", action="append", metavar="FILE.yaml", help="a file of overrides; repeatable"
        )
    for action in parser._actions:
        if isinstance(action, argparse._VersionAction):
            action.version = f"lmlab {LMLAB_VERSION}"
            action.help = "Show lmlab's version and exit"
    return parser


def use_in_hydra_main() -> None:
    """Let :func:`hydra.main`, which takes no parser from outside, build it here."""
    # The attribute main of the package is the function; its module is found by name only.
    sys.modules["hydra.main"].get_args_parser = hydra_parser  # type: ignore[attr-defined]


@contextlib.contextmanager
def _help_as_text() -> Iterator[None]:
    """Give arguments added in the block a string as help where it is another object."""
    add_argument = argparse.ArgumentParser.add_argument

    def add_with_text(self: argparse.ArgumentParser, *names: str, **settings: Any) -> Any:
        source = settings.get("help")
        if source is not None and not isinstance(source, str):
            settings["help"] = _LazyText()
            settings["help"].source = source
        return add_argument(self, *names, **settings)

    argparse.ArgumentParser.add_argument = add_with_text  # type: ignore[assignment]
    try:
        yield
    finally:
        argparse.ArgumentParser.add_argument = add_argument  # type: ignore[method-assign]
