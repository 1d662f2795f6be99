from __future__ import annotations

from pathlib import Path

import own_parts
import pytest
import torch

from lmlab.build.network import build_network, network_builder
from lmlab.config.compose import compose
from lmlab.config.run_config import Model, build_tree
from lmlab.errors import ConfigError


@pytest.fixture(autouse=True)
def _trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own_parts.trust(tmp_path / "settings", monkeypatch)


def test_constructors_draw_from_the_seed_and_leave_no_trace(overrides: list[str]) -> None:
    model = compose([*overrides, "model.ffn={_target_: own_parts.Random}"]).model
    tables = []
    for seed in (0, 1, 0):
        before = torch.get_rng_state()
        network = build_network(model, seed)
        assert torch.equal(torch.get_rng_state(), before)
        tables.append(network.blocks[0].ffn.get_buffer("sublayer.table"))
        torch.rand(7)
    assert torch.equal(tables[0], tables[2]) and not torch.equal(tables[0], tables[1])


def test_an_auto_width_follows_the_width_of_the_model(overrides: list[str]) -> None:
    model = compose([*overrides, "model.ffn={_target_: own_parts.Width}"]).model
    builder = network_builder(model, 0)
    for d_model in (16, 32):
        builder(d_model=d_model)
        assert own_parts.Width.seen == 4 * d_model
    builder(d_ff=24)
    assert own_parts.Width.seen == 24


@pytest.mark.parametrize("hidden", [True, False])
def test_a_bias_that_shows_later_keys_is_refused(
    hidden: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    module = f"own_bias_{hidden}"
    (tmp_path / f"{module}.py").write_text(
        "import torch\n"
        "from lmlab.nn.pos import NoPE\n\n\n"
        "class Biased(NoPE):\n"
        "    def score_bias(self, q, k, positions, key_positions):\n"
        "        later = torch.ones(q.shape[2], k.shape[2], dtype=torch.bool).triu(1)\n"
        f"        later = later & {hidden}\n"
        "        return torch.zeros(1, 1, *later.shape).masked_fill(later, -torch.inf)\n"
    )
    content = compose([]).model.as_dict() | {"pos": {"_target_": f"{module}.Biased"}}
    model = build_tree(Model, content)
    if hidden:
        build_network(model)
        return
    with pytest.raises(ConfigError, match=r"Biased: expected a score_bias of -inf where a key"):
        build_network(model)
