"""Which table of value embeddings serves which layer. No torch."""

from __future__ import annotations

from lmlab.errors import ConfigError


def tables_of_layers(num_layers: int, num_tables: int) -> list[int | None]:
    """Return the table of each layer: table i serves layers i and L - n + i.

    Args:
        num_layers: L.
        num_tables: n.

    Raises:
        ConfigError: there are fewer tables than one, or more than layers.
    """
    if not 1 <= num_tables <= num_layers:
        raise ConfigError(
            f"model.embedding.num_tables={num_tables}: expected 1 to model.num_layers={num_layers}"
        )
    tables: list[int | None] = [None] * num_layers
    tables[num_layers - num_tables :] = range(num_tables)
    tables[:num_tables] = range(num_tables)
    return tables
