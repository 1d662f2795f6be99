"""Which modules a module imports, read from its source: nothing is imported."""

from __future__ import annotations

import ast
import dataclasses
import importlib.util
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

from lmlab.build.source_hash import Source, read_source

# Calls that import modules, or run code, which the source need not name.
_DYNAMIC = frozenset({"import_module", "__import__", "walk_packages", "iter_modules", "exec",
                      "eval", "run_module", "run_path", "spec_from_file_location",
                      "module_from_spec", "SourceFileLoader"})  # fmt: skip
_OF_BUILTINS = frozenset({"__import__", "exec", "eval"})
_COMPILED = (".so", ".pyd")


@dataclasses.dataclass(frozen=True)
class ModuleFile:
    """A module of a package, and its file.

    Attributes:
        name: dotted name.
        path: a Python file, or a compiled one.
    """

    name: str
    path: Path

    @property
    def is_package(self) -> bool:
        """Whether the file is that of a package itself."""
        return self.path.name == "__init__.py"

    @property
    def is_compiled(self) -> bool:
        """Whether no source is there to be read."""
        return self.path.suffix != ".py"

    def read(self) -> Source:
        """Parse and hash the file."""
        return read_source(self.path.read_bytes())


@dataclasses.dataclass(frozen=True)
class Imports:
    """What a module imports.

    Attributes:
        names: dotted names, of modules and of what may be a module or a name in one.
        is_dynamic: whether it may import further modules, which its source does not name.
    """

    names: frozenset[str]
    is_dynamic: bool


def package_folders(package: str) -> list[Path]:
    """Return the folders of a package; empty for a module that is a single file."""
    try:
        spec = importlib.util.find_spec(package)
    except (ImportError, ValueError):
        return []
    return [] if spec is None else [Path(one) for one in spec.submodule_search_locations or ()]


def package_file(package: str) -> Path | None:
    """Return the file of a top-level module, or ``__init__.py`` of a package; None without one."""
    try:
        spec = importlib.util.find_spec(package)
    except (ImportError, ValueError):
        return None
    if spec is None or spec.origin is None or not Path(spec.origin).is_file():
        return None
    return Path(spec.origin)


def edited_in_place(package: str) -> Path | None:
    """Return the folder or file of a package that is not installed; None for any other.

    Installed are the packages in the folders of Python and of its packages.
    """
    path = next(iter(package_folders(package)), None) or package_file(package)
    if path is None:
        return None
    keys = ("purelib", "platlib", "stdlib", "platstdlib")
    folders = [Path(sysconfig.get_path(key)).resolve() for key in keys]
    installed = [*folders, *(Path(one) for one in sys.path if one.endswith("-packages"))]
    path = path.resolve()
    return None if any(path.is_relative_to(folder) for folder in installed) else path


def find_module(name: str) -> ModuleFile | None:
    """Find the file of a module by its dotted name; None where there is none."""
    top, *rest = name.split(".")
    if not all(map(str.isidentifier, (top, *rest))):
        return None
    if not rest:
        path = package_file(top)
        return None if path is None else ModuleFile(name, path)
    for folder in package_folders(top):
        base = folder.joinpath(*rest)
        for path in (base / "__init__.py", base.with_name(f"{base.name}.py")):
            if path.is_file():
                return ModuleFile(name, path)
        for path in sorted(base.parent.glob(f"{base.name}.*")):
            if path.suffix in _COMPILED:
                return ModuleFile(name, path)
    return None


def modules_of(package: str) -> list[ModuleFile]:
    """Return all modules of a package."""
    found = []
    for folder in package_folders(package):
        for path in sorted(folder.rglob("*")):
            if path.suffix != ".py" and path.suffix not in _COMPILED:
                continue
            parts = [*path.relative_to(folder).parts[:-1], path.name.partition(".")[0]]
            if parts[-1] == "__init__":
                parts.pop()
            name = ".".join([package, *parts])
            if all(map(str.isidentifier, parts)):
                found.append(ModuleFile(name, path))
    top = package_file(package)
    return found or ([] if top is None else [ModuleFile(package, top)])


def read_imports(module: ModuleFile) -> Imports:
    """Return what a module imports, anywhere in it: conditional and late imports count."""
    if module.is_compiled:
        return Imports(frozenset(), is_dynamic=True)
    tree = module.read().tree
    if tree is None:
        return Imports(frozenset(), is_dynamic=True)
    names: set[str] = set()
    is_dynamic = False
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            parent = _absolute(module, node.module or "", node.level)
            names.add(parent)
            for alias in node.names:
                if alias.name == "*":
                    listed = _listed_in_all(parent)
                    is_dynamic |= listed is None
                    names |= {f"{parent}.{one}" for one in listed or ()}
                else:
                    names.add(f"{parent}.{alias.name}")
        elif isinstance(node, ast.Call):
            called = list(_imported_by_call(module, node))
            names |= {name for name in called if name is not None}
            is_dynamic |= None in called
    return Imports(frozenset(names), is_dynamic)


def _absolute(module: ModuleFile, name: str, level: int) -> str:
    """Return the absolute name of what a module imports at a level of relative imports."""
    if not level:
        return name
    parts = module.name.split(".")
    parts = parts[: len(parts) - level + (1 if module.is_package else 0)]
    return ".".join([*parts, *([name] if name else [])])


def _listed_in_all(package: str) -> list[str] | None:
    """Return the names in ``__all__`` of a package; None where they are computed."""
    module = find_module(package)
    tree = None if module is None or not module.is_package else module.read().tree
    listed: list[str] = []
    for node in ast.walk(tree) if tree is not None else ():
        if isinstance(node, ast.Assign):
            targets = node.targets
        elif isinstance(node, ast.AugAssign | ast.AnnAssign):
            targets = [node.target]
        else:
            continue
        if any(isinstance(one, ast.Name) and one.id == "__all__" for one in targets):
            values = getattr(node.value, "elts", None)
            texts = [getattr(value, "value", None) for value in values or ()]
            if values is None or not all(isinstance(text, str) for text in texts):
                return None
            listed += [str(text) for text in texts]
    return listed


def _imported_by_call(module: ModuleFile, node: ast.Call) -> Iterator[str | None]:
    """Yield the module that a call imports by name; None where its name is computed."""
    called = getattr(node.func, "attr", None) or getattr(node.func, "id", None)
    if called not in _DYNAMIC or (called in _OF_BUILTINS and not isinstance(node.func, ast.Name)):
        return
    text = getattr(node.args[0], "value", None) if node.args else None
    if called not in ("import_module", "__import__") or not isinstance(text, str):
        yield None
        return
    level = len(text) - len(text.lstrip("."))
    yield _absolute(module, text[level:], level)
