from __future__ import annotations

from typing import Any

import pytest
from small_models import combinations


@pytest.fixture(scope="session")
def models() -> list[dict[str, Any]]:
    """Return the ``model`` section of every combination of components, at small sizes."""
    return combinations()
