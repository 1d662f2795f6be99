"""Build the callbacks of a run."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from lmlab.build.instantiate import BoundTarget, describe_failure
from lmlab.errors import ConfigError, UserError
from lmlab.tokenizer.tokenizer import Tokenizer
from lmlab.training.callbacks import Callback, Callbacks


def build_callbacks(
    callbacks: Mapping[str, tuple[int, BoundTarget]], tokenizer: Tokenizer
) -> Callbacks:
    """Import the functions of the callbacks.

    Args:
        callbacks: interval in steps and function of each, by name.
        tokenizer: passed to the functions that take it.

    Raises:
        ConfigError: a function cannot be imported.
    """
    return Callbacks(
        [
            Callback(name, every_steps, _with_supplied(name, target, tokenizer))
            for name, (every_steps, target) in callbacks.items()
        ]
    )


def _with_supplied(name: str, target: BoundTarget, tokenizer: Tokenizer) -> Callable[..., Any]:
    """Return the function of ``model`` and ``step``; it receives those that it takes."""
    try:
        function = target.load()
        parameters = inspect.signature(function).parameters.values()
    except UserError:
        raise
    except Exception as error:
        raise ConfigError(
            describe_failure(f"callbacks.{name}", target.target, "be imported", error),
            "fix the module, or remove the callback",
        ) from error
    takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)
    names = {parameter.name for parameter in parameters}

    @functools.wraps(function)
    def call(*, model: Any, step: int) -> Any:
        supplied = {"model": model, "step": step, "tokenizer": tokenizer}
        return function(**{k: v for k, v in supplied.items() if takes_any or k in names})

    return call
