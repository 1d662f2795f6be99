from __future__ import annotations

from typing import Any

import pytest
from small_models import combinations


@pytest.fixture(scope="session")
def models() -> list[dict[str, Any]]:
    """The node ``model`` of every combination of parts, at small sizes."""
    return combinations()
