"""The comparison with the earlier write-up."""

from __future__ import annotations

from lmlab_studies.earlier_write_up import compare


def test_the_figures_of_gpt2_xl() -> None:
    terms, activations, batch = compare("gpt2_xl", 80 * 10**9).rows
    assert terms[1:3] == ["19", "16"]
    # 4 (19 L T D + T D + 2 L H T^2 + T V + T) with L 48, T 1024, D 1600, H 25, V 50257.
    assert activations[1:3] == ["16.26 GB", "15.31 GB"]
    assert batch[1:3] == ["18", "3"]
    assert batch[3].endswith("with 19 it would also be 3")
