"""Parts of the exported class against slow versions, one query and head at a time."""

from __future__ import annotations

import ast
import math
from pathlib import Path

import pytest
import torch

pytest.importorskip("transformers")

from lmlab.hf import config_writer
from lmlab.hf.modeling_lmlab import LMLabConfig
from lmlab.hf.parts_lmlab import FeedForward, Norm, alibi_bias, attend, restrict, rotate


def test_each_exported_file_imports_only_torch_transformers_and_files_beside_it() -> None:
    """A relative import may reach only another exported file, which has none of its own."""
    for name in config_writer.REMOTE_FILES:
        tree = ast.parse(Path(config_writer.__file__).with_name(name).read_text("utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                assert {one.name for one in node.names} <= {"math", "torch"}
            elif isinstance(node, ast.ImportFrom) and node.level:
                assert name == "modeling_lmlab.py"
                assert f"{node.module}.py" in config_writer.REMOTE_FILES
            elif isinstance(node, ast.ImportFrom):
                root = str(node.module).partition(".")[0]
                assert root in ("__future__", "torch", "transformers")


def test_rotation_turns_pairs_and_leaves_other_features() -> None:
    x, angles = torch.randn(1, 2, 3, 6), torch.rand(1, 1, 3, 2)
    found = rotate(x, angles)
    for t in range(3):
        for i in range(2):
            angle = float(angles[0, 0, t, i])
            a, b = x[0, :, t, i], x[0, :, t, i + 2]
            expected = [a * math.cos(angle) - b * math.sin(angle),
                        b * math.cos(angle) + a * math.sin(angle)]  # fmt: skip
            torch.testing.assert_close(found[0, :, t, i], expected[0])
            torch.testing.assert_close(found[0, :, t, i + 2], expected[1])
    assert torch.equal(found[..., 4:], x[..., 4:])
    assert rotate(x, None) is x


def test_attention_and_its_probabilities_equal_the_equation() -> None:
    q, k, v = (torch.randn(1, 2, 4, 3) for _ in range(3))
    mask, weights = torch.ones(4, 4, dtype=torch.bool).tril()[None, None], []
    found = attend(q, k, v, mask, weights)
    for head in range(2):
        for t in range(4):
            scores = torch.stack([q[0, head, t] @ k[0, head, s] / math.sqrt(3)
                                  for s in range(t + 1)])  # fmt: skip
            shares = scores.exp() / scores.exp().sum()
            torch.testing.assert_close(weights[0][0, head, t, : t + 1], shares)
            torch.testing.assert_close(found[0, head, t], shares @ v[0, head, : t + 1])
    torch.testing.assert_close(attend(q, k, v, mask), found)
    # A static cache returns unused positions, too.
    longer = [torch.cat([one, torch.full((1, 2, 3, 3), 9.0)], dim=2) for one in (k, v)]
    torch.testing.assert_close(attend(q, *longer, mask), found)


def test_a_window_hides_keys_before_its_last_ones() -> None:
    causal = torch.ones(6, 6, dtype=torch.bool).tril()
    found = restrict(causal, 3, 6)
    assert [row.nonzero().flatten().tolist() for row in found] == [
        [0], [0, 1], [0, 1, 2], [1, 2, 3], [2, 3, 4], [3, 4, 5]
    ]  # fmt: skip
    assert torch.equal(restrict(causal[4:], 3, 2, torch.tensor([4, 5])), found[4:])
    term = torch.zeros(6, 6).masked_fill(~causal, torch.finfo(torch.float32).min)
    assert torch.equal(restrict(term, 3, 6) == 0, found)


def test_slopes_of_alibi_are_those_of_its_authors() -> None:
    """Press et al. 2022, section 3: 2^-1 to 2^-8 for 8 heads; every other one of 16 for more."""
    positions = torch.arange(5)[None]
    found = alibi_bias(12, positions, positions)
    slopes = [2.0**-i for i in range(1, 9)] + [2.0 ** (-0.5 * i) for i in (1, 3, 5, 7)]
    for head, slope in enumerate(slopes):
        assert float(found[0, head, 4, 1]) == pytest.approx(-3 * slope)


def test_norms_equal_their_formulas() -> None:
    x, gain = torch.randn(2, 5), torch.rand(5)
    expected = {
        "rms": x / (x.square().mean(-1, keepdim=True) + 0.1).sqrt() * gain,
        "layer": (x - x.mean(-1, keepdim=True))
        / (x.var(-1, correction=0, keepdim=True) + 0.1).sqrt() * gain,
        "dyt": torch.tanh(0.3 * x) * gain,
    }  # fmt: skip
    for kind, wanted in expected.items():
        norm = Norm(kind, 5, 0.1, alpha=0.3)
        with torch.no_grad():
            norm.weight.copy_(gain)
        torch.testing.assert_close(norm(x), wanted)


@pytest.mark.parametrize("kind", ["swiglu", "geglu", "reglu", "silu", "gelu", "relu2"])
def test_feed_forward_layers_equal_their_formulas(kind: str) -> None:
    def normal(y: torch.Tensor) -> torch.Tensor:
        return y / 2 * (1 + torch.erf(y / math.sqrt(2)))

    layer = FeedForward(LMLabConfig(hidden_size=4, intermediate_size=6, ffn=kind))
    x = torch.randn(3, 4)
    activation = {
        "swiglu": lambda y: y * torch.sigmoid(y), "silu": lambda y: y * torch.sigmoid(y),
        "geglu": normal, "gelu": normal, "reglu": lambda y: y.clamp(min=0),
        "relu2": lambda y: y.clamp(min=0) ** 2,
    }[kind]  # fmt: skip
    up = x @ layer.up.weight.T
    hidden = activation(x @ layer.gate.weight.T) * up if kind.endswith("glu") else activation(up)
    torch.testing.assert_close(layer(x), hidden @ layer.down.weight.T)
