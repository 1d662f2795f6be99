"""Settings that are no more, and configurations that were frozen with them."""

from __future__ import annotations

from typing import Any

RETIRED = {
    "runtime.precision": "runtime.policy (exact, fast or bf16; auto chooses)",
    "runtime.tf32": "runtime.policy=fast, which uses TF32 where its measured error is in bounds",
    "runtime.deterministic": "runtime.policy=exact, which is bitwise repeatable",
}
_POLICY_OF = {"fp32": "exact", "bf16": "bf16"}


def upgrade(content: dict[str, Any]) -> dict[str, Any]:
    """A frozen configuration in today's terms, so that earlier runs can be loaded."""
    runtime = content.get("runtime")
    if not isinstance(runtime, dict) or "precision" not in runtime:
        return content
    now = {key: v for key, v in runtime.items() if f"runtime.{key}" not in RETIRED}
    return content | {"runtime": now | {"policy": _POLICY_OF.get(runtime["precision"], "auto")}}
