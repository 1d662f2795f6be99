from __future__ import annotations

from pathlib import Path

import own_parts
import pytest
import torch

from lmlab.build.network import build_network, network_builder
from lmlab.config.compose import compose


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
