"""The page of settings is generated from the files and the code, and is complete."""

from __future__ import annotations

from pathlib import Path

from lmlab.config.compose import compose
from lmlab.config.reference import page

DOCS = Path(__file__).parents[3] / "docs"


def keys(node: dict[str, object], prefix: str = "") -> list[str]:
    found = []
    for key, value in node.items():
        name = f"{prefix}{key}"
        found += keys(value, f"{name}.") if isinstance(value, dict) else [name]
    return found


def test_the_page_is_up_to_date() -> None:
    assert (DOCS / "configuration.md").read_text("utf-8") == page(), "run make docs"


def test_the_page_lists_every_setting_of_the_default_run() -> None:
    text = page()
    wanted = [key for key in keys(compose([]).as_dict()) if not key.endswith("_target_")]
    missing = [key for key in wanted if f"| `{key}` |" not in text]
    assert [key for key in missing if not key.startswith("scale.")] == []
    assert "`lmlab.nn.norm.PreRMSNorm`" in text
