"""The layers of the house: a module imports only lower layers or its own package."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[3] / "src" / "lmlab"

LAYERS: dict[str, int] = {
    **dict.fromkeys(
        [
            "errors",
            "io",
            "progress",
            "user_cache",
            "background",
            "lock",
            "native",
            "allocator",
            "signals",
            "config",
            "device",
            "policy",
            "provenance",
            "hf",
            "words",
            "ranks",
        ],
        0,
    ),
    **dict.fromkeys(["tokenizer", "nn", "optim"], 1),
    **dict.fromkeys(
        [
            "data",
            "model",
            "accounting",
            "checkpoint",
            "train_state",
            "tracking",
            "validation",
            "gradients",
            "objective",
            "working",
            "resident",
            "graphed",
            "compiling",
            "sampling",
            "run_folder",
            "replicas",
            "fully_sharded",
        ],
        2,
    ),
    "assemble": 3,
    "trainer": 4,
    **dict.fromkeys(
        ["preflight", "resolve", "extension", "session", "follower", "run", "loading", "stack"], 5
    ),
    "design": 6,
    "study": 7,
    **dict.fromkeys(["sweep", "exhibit"], 8),
    **dict.fromkeys(
        [
            "cli",
            "train",
            "generate",
            "tokenize",
            "account",
            "outputs",
            "status",
            "report",
            "publish",
            "evaluate",
            "export",
            "completion",
        ],
        9,
    ),
}
NO_TORCH = [
    "errors",
    "io",
    "progress",
    "user_cache",
    "background",
    "lock",
    "config",
    "tokenizer",
    "data",
    "accounting",
    "run_folder",
    "provenance",
    "study",
    "outputs",
    "cli",
]
# In folders whose other modules need it.
ALSO_NO_TORCH = [
    "ranks/world.py",
    "optim/schedule.py",
    "nn/ffn_width.py",
    "hf/config.py",
    "hf/files.py",
    "hf/reading.py",
    "sweep/slurm/resources.py",
    "sweep/slurm/settings.py",
]


def modules() -> list[Path]:
    return sorted(SOURCE.rglob("*.py"))


def owner(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def imports(path: Path) -> set[str]:
    """Dotted names of everything a module imports, wherever in its body."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute here"
            assert node.module is not None
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def test_every_module_has_a_layer() -> None:
    owners = {owner(path) for path in modules()} - {"__init__", "__main__"}
    assert owners <= set(LAYERS)


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(SOURCE)))
def test_a_module_imports_only_lower_layers(path: Path) -> None:
    here = owner(path)
    if here == "__init__":
        return
    for name in imports(path):
        parts = name.split(".")
        if parts[0] != "lmlab" or parts[1:2] in ([], ["__version__"], [here]):
            continue
        there = parts[1]
        lower = LAYERS[there] < LAYERS[here]
        # Within a layer of single files, one may build on another, as io does on errors.
        same = LAYERS[there] == LAYERS[here]
        allowed = lower or same
        assert allowed, f"{path.name} (layer {LAYERS[here]}) imports {name} ({LAYERS[there]})"


def test_layers_have_no_cycle_inside() -> None:
    uses: dict[str, set[str]] = {}
    for path in modules():
        for name in imports(path):
            parts = name.split(".")
            if parts[0] == "lmlab" and len(parts) > 1 and parts[1] != owner(path):
                uses.setdefault(owner(path), set()).add(parts[1])

    def reach(name: str, seen: frozenset[str]) -> None:
        assert name not in seen, f"import cycle through {name}"
        for other in uses.get(name, ()):
            reach(other, seen | {name})

    for name in list(uses):
        reach(name, frozenset())


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(SOURCE)))
def test_modules_that_must_be_quick_to_import_need_no_torch(path: Path) -> None:
    place = str(path.relative_to(SOURCE))
    if owner(path) in NO_TORCH or place in ALSO_NO_TORCH or "counts" in path.name:
        roots = {name.split(".")[0] for name in imports(path)}
        assert not roots & {"torch", "safetensors"}, path


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(SOURCE)))
def test_only_config_and_the_heads_know_hydra(path: Path) -> None:
    if owner(path) != "config" and LAYERS.get(owner(path), 0) < 9:
        assert not {name.split(".")[0] for name in imports(path)} & {"hydra", "omegaconf"}
