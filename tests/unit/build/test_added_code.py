from __future__ import annotations

import pytest

from lmlab.build.added_code import find_additions, hash_added
from lmlab.build.numeric_files import record_of

BEFORE = "import torch\n\nSIZE = 2\n\n\nclass GELU:\n    def forward(self, x):\n        return x\n"
RECORD = record_of("ffn.py", BEFORE.encode())
RELU = "\n\nclass ReLU:\n    slope = 0.0\n\n    def forward(self, x):\n        return clip(x)\n"
CLIP = "\n\ndef clip(x):\n    return max(x, 0)\n"


def additions(text: str) -> set[str] | None:
    found = find_additions(RECORD, text.encode())
    return None if found is None else found.keys() - {""}


@pytest.mark.parametrize(
    ("text", "names"),
    [
        (BEFORE + "# a comment\n", set()),
        (BEFORE + RELU, {"ReLU"}),
        (BEFORE.replace("\n\n\nclass", CLIP + "\n\nclass") + RELU, {"ReLU", "clip"}),
        (BEFORE.replace("import torch", "import math\nimport torch") + CLIP, {"clip"}),
        (BEFORE + RELU.replace("class ReLU", "@dataclasses.dataclass(frozen=True)\nclass ReLU"),
         {"ReLU"}),
    ],
)  # fmt: skip
def test_added_classes_and_functions_are_found(text: str, names: set[str]) -> None:
    assert additions(text) == names


@pytest.mark.parametrize(
    "text",
    [
        BEFORE.replace("return x", "return 2 * x") + RELU,
        BEFORE.replace("SIZE = 2", "SIZE = 3"),
        BEFORE.replace("SIZE = 2\n", ""),
        BEFORE.replace("import torch\n", "from other import torch\n"),
        BEFORE + "\nSIZE = 3\n",
        BEFORE + "\ntorch.set_flush_denormal(True)\n",
        BEFORE + "\nGELU.forward = None\n",
        BEFORE + "\n\ndef GELU(x): ...\n",
        BEFORE + "\n\ndef max(x): ...\n",
        BEFORE + "\n\ndef __getattr__(name): ...\n",
        BEFORE + "\nfrom math import *\n",
        BEFORE + "\nfrom other import GELU\n",
        BEFORE + "\nimport other as SIZE\n",
        BEFORE + "\n\n@register\nclass ReLU: ...\n",
        BEFORE + "\n\nclass ReLU(metaclass=Meta): ...\n",
        BEFORE + "\n\nclass ReLU:\n    torch.set_flush_denormal(True)\n",
        BEFORE + "\n\nclass ReLU:\n    x = torch.seed()\n",
        BEFORE + "\n\ndef clip(x=torch.seed()): ...\n",
        BEFORE.replace("class GELU", "class ReLU: ...\nclass GELU", 1) + "\n\nclass GELU: ...\n",
        "class GELU" + BEFORE.partition("class GELU")[2] + BEFORE.partition("class GELU")[0],
        "x = = 1",
    ],
)
def test_whatever_else_changes_is_a_change_of_the_file(text: str) -> None:
    assert additions(text) is None


def test_the_hash_of_what_is_named_holds_what_it_uses() -> None:
    def digest(text: str, name: str) -> str:
        found = find_additions(RECORD, text.encode())
        assert found is not None
        return hash_added(text.encode(), found, [name])

    text = BEFORE + CLIP + RELU + "\n\nclass Other: ...\n"
    of_relu, of_other = digest(text, "ReLU"), digest(text, "Other")
    changed = text.replace("max(x, 0)", "max(x, 1)")
    assert digest(changed, "ReLU") != of_relu and digest(changed, "Other") == of_other
    assert digest(text.replace("Other: ...", "Other: x = 1"), "ReLU") == of_relu
