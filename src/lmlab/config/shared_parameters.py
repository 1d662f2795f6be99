"""Parameters that every option of a group has: lmlab reads them itself, the component does not."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any, TypeVar

from lmlab.config.run_config import Component
from lmlab.config.signatures import Parameter

Content = TypeVar("Content", bound=MutableMapping[Any, Any])
CROSS, DOCUMENT = "cross", "document"  # of data.windows: what attention sees of a window
WINDOWS = (CROSS, DOCUMENT)
SHARED: dict[str, dict[str, Parameter]] = {
    "data": {"windows": Parameter("windows", True, "str")},
}
# Their values where an option of the user does not list them.
DEFAULTS: dict[str, dict[str, Any]] = {"data": {"windows": CROSS}}


def shared_value(path: str, component: Component, name: str) -> Any:
    """Return the value of a shared parameter of the component at ``path``."""
    return component.parameters.get(name, DEFAULTS[path][name])


def own_component(path: str, component: Component) -> Component:
    """Return the component at ``path`` with the parameters that it receives."""
    shared = SHARED[path]
    return Component({key: v for key, v in component.as_dict().items() if key not in shared})


def without_shared(path: str, content: Content) -> Content:
    """Remove the shared parameters from the content of an option for ``path``, in place."""
    for name in SHARED[path]:
        content.pop(name, None)
    return content
