"""Tables of cost reports: every figure of the report appears where it belongs."""

from __future__ import annotations

from typing import Any

import pytest

from lmlab.accounting.cost_report import CostOptions, cost_report
from lmlab.accounting.tables import bar, comparison_table, report_tables, share_table
from lmlab.config.compose import compose


def report(*overrides: str, **options: Any) -> dict[str, Any]:
    return cost_report(compose(["model=tiny", *overrides]).as_dict(), CostOptions(**options), "cpu")


def rows_by_name(rows: Any) -> dict[str, list[str]]:
    return {name: cells for name, *cells in rows}


def test_tables_show_the_figures_of_the_report() -> None:
    found = report(memory=10**9, peak=1e12)
    parameters, flops, memory, run, textbook = report_tables(found)
    for table in (parameters, flops, memory, run, textbook):
        assert all(len(row) == len(table.columns) for row in table.rows), table.heading
    assert rows_by_name(parameters.rows)["all"][0] == f"{found['parameters']['total']:,}"
    assert rows_by_name(flops.rows)["forward"] == [
        f"{found['flops']['forward']:,}", "", f"{found['flops']['forward_causal']:,}"
    ]  # fmt: skip
    assert rows_by_name(memory.rows)["peak of training"][0] == (
        f"{found['memory']['training_peak']:,}"
    )
    assert f"{found['memory']['largest_batch']:,} sequences" in memory.notes[-1]
    assert any(cells[0].endswith(" s") for name, cells in rows_by_name(run.rows).items()
               if name == "time per update at 1e+12 FLOP/s at 50%")  # fmt: skip
    assert [f"largest batch: {found['textbook']['largest_batch']}"] in textbook.rows


def test_the_parameters_that_a_token_uses_are_shown_beside_all() -> None:
    dense, routed = report(), report("model.ffn=moe")
    assert "used per token" not in rows_by_name(report_tables(dense)[0].rows)
    active = routed["parameters"]["active"]
    # Six of the eight experts of each layer, of three matrices, are not used.
    assert routed["parameters"]["total"] - active == 4 * 6 * 3 * 128 * 160
    assert rows_by_name(report_tables(routed)[0].rows)["used per token"][0] == f"{active:,}"


def test_an_optimizer_with_unknown_flops_has_no_row() -> None:
    row = "FLOPs of the optimizer per update"
    adamw, muon = (report_tables(report(f"optim={name}"))[3] for name in ("adamw", "muon"))
    assert row in rows_by_name(adamw.rows) and row not in rows_by_name(muon.rows)
    assert "FLOPs of the run" in rows_by_name(muon.rows)


def test_the_comparison_has_a_row_per_report_and_the_batch_if_any_has_one() -> None:
    found = {"a": report(), "b": report("model.num_layers=3")}
    table = comparison_table(found)
    assert [row[0] for row in table.rows] == ["a", "b"]
    assert all(len(row) == len(table.columns) for row in table.rows)
    assert "largest batch" not in table.columns
    table = comparison_table({"a": report(memory=10**9), "b": report(memory=10**9)})
    assert table.columns[-1] == "largest batch"
    assert all(len(row) == len(table.columns) for row in table.rows)


def test_the_sweep_table_has_a_row_per_value() -> None:
    table = share_table(
        "model.d_ff", {"64": report("model.d_ff=64"), "512": report("model.d_ff=512")}
    )
    assert [row[0] for row in table.rows] == ["64", "512"]
    assert table.columns[0] == "model.d_ff"
    # A wider feed-forward layer takes a larger share of the bar.
    narrow, wide = (row[-1].count("=") for row in table.rows)
    assert narrow < wide


@pytest.mark.parametrize(
    ("parts", "drawn"),
    [
        ({"attention": 1.0}, "#" * 40),
        ({"attention": 0.5, "feed-forward": 0.25, "head": 0.25}, "#" * 20 + "=" * 10 + "." * 10),
        # Each boundary is rounded: three thirds of 40 are 13, 14 and 13 characters.
        ({"attention": 1 / 3, "feed-forward": 1 / 3, "head": 1 / 3},
         "#" * 13 + "=" * 14 + "." * 13),
    ],
)  # fmt: skip
def test_bars_have_a_fixed_length(parts: dict[str, float], drawn: str) -> None:
    assert bar(parts) == drawn


def test_the_components_of_a_model_are_stated_beside_its_size() -> None:
    """``model=gpt2_small`` has GPT-2's shape, but not its components and not its size."""
    (parameters, *_) = report_tables(report("model=gpt2_small"))
    assert parameters.notes == [
        "PreRMSNorm, RoPE, SwiGLU, untied head: 190,460,160 parameters, 762 MB in float32."
    ]
    table = comparison_table(
        {
            "a": report("model=gpt2_small"),
            "b": report("model=gpt2_small", "model.ffn=gelu", "model.tie_embeddings=true"),
            "c": report("model=gpt2_medium"),
        }
    )
    assert table.notes[-1] == (
        "a, c: PreRMSNorm, RoPE, SwiGLU, untied head; b: PreRMSNorm, RoPE, GELU, tied head."
    )
    assert comparison_table({"a": report()}).notes[-1].startswith("Each model: PreRMSNorm")
