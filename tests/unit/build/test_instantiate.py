"""What a target gets: its parameters, what the program supplies, and what its signature names."""

from __future__ import annotations

from lmlab.build.instantiate import BoundTarget


def taking(*, size: int, layer: int) -> tuple[int, int]:
    return size, layer


def not_taking(*, size: int) -> int:
    return size


def test_a_target_gets_of_what_is_offered_what_its_signature_names() -> None:
    for name, expected in (("taking", (2, 7)), ("not_taking", 2)):
        target = BoundTarget(f"{__name__}.{name}", {"size": 2})
        assert target.load(layer=7, num_layers=9)() == expected


def test_parameters_are_copies() -> None:
    given = {"size": [1]}
    first = BoundTarget(f"{__name__}.not_taking", given).load()()
    first.append(2)
    assert given == {"size": [1]}
