"""Parts of a model that act after each update, such as a router that balances its experts."""

from __future__ import annotations

from typing import Protocol, cast

from torch import nn


class ActsAfterUpdate(Protocol):
    """A module with state of its own that training moves.

    The state must be in saved buffers and be changed in place. Sums over a batch belong in buffers
    that the class names in ``summed_buffers``: they are added over the ranks before the call.
    """

    def after_update(self) -> None:
        """Act on what the passes of this update have left; called once after the optimizer."""
        ...


def parts_after_update(model: nn.Module) -> list[ActsAfterUpdate]:
    """Return the parts with a method ``after_update``, in the order of the model."""
    parts = (part for part in model.modules() if hasattr(part, "after_update"))
    return [cast(ActsAfterUpdate, part) for part in parts]
