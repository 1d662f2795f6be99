"""Measure the path of the configuration from the command line to the first update.

The command is ``python -m lmlab.train model.norm=post``, tiny and with ``runtime.preflight=off``.
Its main thread is profiled from ``lmlab.train.main`` to the ``step`` of an optimizer.

- A *call* is a call event of ``sys.setprofile`` in a function of lmlab. A generator that resumes
  is one too; a module or class body that runs is not.
- The *configuration* is its root or a node of it: a DictConfig; or a dataclass of ``lmlab.config``
  with the fields ``model`` and ``training``, or of a type found in such a tree.
- A call is *given* the configuration where an argument is the configuration. It *has* it where it
  is given it or an argument, such as ``self``, holds it as a direct attribute.
- The *floor* of a module is the length of the longest path down the graph of imports, a cycle
  being one node. Imports in functions count, those under ``TYPE_CHECKING`` do not; a name taken
  from a package is its submodule, or else the package.

Headline: the *walk* is the sequence of the calls that are given the configuration, or whose calling
frame is a function of lmlab that was given it. *Modules crossed* are the distinct modules of these
functions. A *turn back* is a call of the walk into a higher floor than that of the call before it.
The second line counts calls that have the configuration, since the first misses what ``self``
holds. In the lines that follow, a call goes *up* where its caller's module has a lower floor.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import dataclasses
import inspect
import itertools
import os
import sys
import tempfile
from collections import Counter
from importlib.util import resolve_name
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

from omegaconf import DictConfig, ListConfig
from torch.optim import Optimizer

OVERRIDES = [
    "model.norm=post", "data=text", "data.train=train.txt", "data.valid=valid.txt", "logger=none",
    "model.vocab_size=280", "model.context_length=16", "model.d_model=16", "model.num_heads=2",
    "runtime.device=cpu", "runtime.threads=1", "runtime.policy=exact", "runtime.preflight=off",
]  # fmt: skip
CONVERSIONS = ("plain", "thaw", "as_dict", "from_dict", "to_container")  # lmlab's and OmegaConf's
GIVEN, HAS = 2, 1


class Call(NamedTuple):
    """A call, the module and line that made it, and what it and its caller are given or have."""

    module: str
    function: str
    caller: str  # empty outside lmlab
    line: int
    own: int
    above: int


class FirstUpdateReached(BaseException):
    """Ends the traced command; no error handler catches it."""


def read_imports(name: str, modules: dict[str, Path]) -> set[str]:
    """Return the modules that a module imports anywhere in its body."""
    found: set[str] = set()
    package = name if modules[name].name == "__init__.py" else name.rpartition(".")[0]
    waiting: list[ast.AST] = [ast.parse(modules[name].read_text("utf-8"))]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            node = ast.Module(node.orelse, [])
        waiting += ast.iter_child_nodes(node)
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom):
            base = resolve_name("." * node.level + (node.module or ""), package)
            names = (f"{base}.{alias.name}" for alias in node.names)
            found |= {name if name in modules else base for name in names}
    return found & modules.keys() - {name}


def find_floors(modules: dict[str, Path]) -> dict[str, int]:
    """Return the floor of each module; those of one import cycle share theirs."""
    graph = {name: read_imports(name, modules) for name in modules}
    reached = {name: {name} for name in modules}
    for seen in reached.values():
        while new := set().union(*(graph[name] for name in seen)) - seen:
            seen |= new
    floors: dict[str, int] = {}
    for name in sorted(graph, key=lambda name: len(reached[name])):  # the lower ones come first
        below = {other for other in reached[name] if name not in reached[other]}
        floors[name] = 1 + max((floors[other] for other in below), default=-1)
    return floors


class Trace:
    """The profile function: collects calls and counts conversions."""

    def __init__(self, modules: dict[str, Path]) -> None:
        self.calls: list[Call] = []
        self.conversions: Counter[str] = Counter()
        self._names = {str(path): name for name, path in modules.items()}
        self._running: dict[int, int] = {}  # what the frames that run are given or have
        self._kinds: set[type] = {DictConfig}

    def __call__(self, frame: FrameType, event: str, _: object) -> None:
        """Note an event. Raises FirstUpdateReached at the first update."""
        code, back = frame.f_code, frame.f_back
        if event == "return":
            self._running.pop(id(frame), None)
        if event != "call" or not code.co_flags & inspect.CO_OPTIMIZED or back is None:
            return
        if code.co_name == "step" and isinstance(frame.f_locals.get("self"), Optimizer):
            raise FirstUpdateReached  # which ends the profiling, too
        module, caller = (self._names.get(each.f_code.co_filename, "") for each in (frame, back))
        if code.co_name in CONVERSIONS and (module or "omegaconf" in code.co_filename):
            self.conversions[code.co_name] += 1
        if module:
            own, above = self._find(frame), self._running.get(id(back), 0)
            self._running[id(frame)] = own
            self.calls.append(Call(module, code.co_qualname, caller, back.f_lineno, own, above))

    def _find(self, frame: FrameType) -> int:
        args, star, stars, local = inspect.getargvalues(frame)
        values = [local[name] for name in (*args, star, stars) if name in local]
        if any(map(self._is_configuration, values)):
            return GIVEN
        holders = (value for value in values if not isinstance(value, type | ListConfig))
        held = (getattr(holder, "__dict__", {}).values() for holder in holders)
        return HAS if any(map(self._is_configuration, itertools.chain(*held))) else 0

    def _is_configuration(self, value: Any) -> bool:
        is_root = {"model", "training"} <= getattr(type(value), "__dataclass_fields__", {}).keys()
        if is_root and f"{type(value).__module__}.".startswith("lmlab.config."):
            self._learn(value)
        return type(value) in self._kinds

    def _learn(self, node: Any) -> None:
        if dataclasses.is_dataclass(node):
            self._kinds.add(type(node))
            for field in dataclasses.fields(node):
                self._learn(getattr(node, field.name, None))


def trace_command(source: Path, trace: Trace) -> None:
    """Run the command in a folder of its own until the first update."""
    sys.path.insert(0, str(source))
    from lmlab.train import main

    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        # The numbers depend on neither caches nor settings of the user.
        os.environ |= {"XDG_CACHE_HOME": folder, "XDG_CONFIG_HOME": folder}
        for name in ("train", "valid"):
            Path(f"{name}.txt").write_text(f"A cat saw the {name} run down a green hill.\n" * 300)
        sys.setprofile(trace)
        with contextlib.suppress(FirstUpdateReached):
            sys.exit(f"exit code {main(OVERRIDES)} before the first update")


def print_counts(trace: Trace, floors: dict[str, int], listed: bool) -> None:
    """Print the headline, the other counts and, where ``listed``, the modules and turns."""
    for least, kind in ((GIVEN, "given the configuration"), (HAS, "that have it")):
        walk = [call for call in trace.calls if max(call.own, call.above) >= least]
        crossed, pairs = dict.fromkeys(call.module for call in walk), itertools.pairwise(walk)
        turns = [(one, two) for one, two in pairs if floors[one.module] < floors[two.module]]
        print(f"walk of calls {kind}: modules crossed {len(crossed)}, turns back {len(turns)}")
        lines = [f"{floors[name]:5} {name}\n" for name in crossed]
        lines += [f"  {one.module} -> {two.module}.{two.function}\n" for one, two in turns]
        print("".join(lines) if listed else "", end="")
    for least, kind in ((HAS, "calls that have it"), (0, "all calls")):
        calls = [call for call in trace.calls if call.own >= least]
        up = [call for call in calls if floors.get(call.caller, 999) < floors[call.module]]
        into, sites = {call.module for call in calls}, {(call.caller, call.line) for call in up}
        print(f"{kind}: {len(calls)} to {len(into)} modules, {len(up)} up at {len(sites)} lines")
    print("calls of", ", ".join(f"{name} {trace.conversions[name]}" for name in CONVERSIONS))


def main() -> None:
    """Trace the command and print what was counted."""
    parser = argparse.ArgumentParser(description="Count the modules the configuration crosses.")
    parser.add_argument("--source", type=Path, default=Path(__file__).parents[1] / "src")
    parser.add_argument("--list", action="store_true", help="print the modules and turns")
    options = parser.parse_args()
    source = options.source.resolve()
    places = {path: path.relative_to(source) for path in source.glob("lmlab/**/*.py")}
    names = {path: ".".join(place.with_suffix("").parts) for path, place in places.items()}
    modules = {name.removesuffix(".__init__"): path for path, name in names.items()}
    trace = Trace(modules)
    trace_command(source, trace)
    print_counts(trace, find_floors(modules), options.list)


if __name__ == "__main__":
    main()
