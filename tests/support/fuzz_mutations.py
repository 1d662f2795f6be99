"""Mutations of JSON, JSON Lines, YAML, safetensors and text, with knowledge of their structure."""

from __future__ import annotations

import json
import random
import struct
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import yaml

_TYPES: list[Any] = ["text", "", 7, -1, 1.5, True, [], {}, [[1]], {"a": None}, "9" * 40, "[bold]x"]
_NAN = "@@nan@@"
_NUMBERS_OF_JSON = ("NaN", "Infinity", "-Infinity", "1e999")
# Deeper than any file; the last is deeper than Python recurses.
_DEPTHS = (300, 1500, 2500)
# Content that a program could have written: nothing needs to be told.
VALID = ("value", "other text", "long text", "path", "odd text", "byte", "large")

Tree = Any
Write = Callable[[Tree, random.Random], bytes]


class Mutation(NamedTuple):
    """A changed file.

    Attributes:
        kind: what was changed.
        content: of the file.
        field: whose value was changed, such as ``runs[].job.seed``; empty for the file as a whole.
    """

    kind: str
    content: bytes
    field: str = ""


class Place(NamedTuple):
    """A value in a tree: its container and key, and the field."""

    container: Any
    key: Any
    field: str

    @property
    def value(self) -> Any:
        """The value."""
        return self.container[self.key]


def mutate(name: str, content: bytes, rng: random.Random) -> Mutation:
    """Return a mutation of a file by its name."""
    if rng.random() < 0.2 or not content:
        return _mutate_bytes(name, content, rng)
    if name.endswith(".jsonl"):
        lines = content.splitlines(keepends=True)
        index = rng.randrange(len(lines))
        changed = _mutate_tree(json.loads(lines[index]), json_text, rng)
        lines[index] = changed.content + b"\n"
        return changed._replace(content=b"".join(lines))
    if name.endswith(".json"):
        return _mutate_tree(json.loads(content), json_text, rng)
    if name.endswith(".yaml"):
        return _mutate_tree(yaml.safe_load(content), yaml_text, rng)
    if name.endswith(".safetensors"):
        return _mutate_tensors(content, rng)
    return _mutate_lines(content, rng)


def json_text(tree: Tree, rng: random.Random) -> bytes:
    """JSON, with a number that is not finite in place of its mark."""
    return json.dumps(tree).replace(f'"{_NAN}"', rng.choice(_NUMBERS_OF_JSON)).encode()


def yaml_text(tree: Tree, rng: random.Random) -> bytes:
    """YAML, with a number that is not finite in place of its mark."""
    number = rng.choice([".nan", ".inf", "-.inf"])
    return yaml.safe_dump(tree, sort_keys=False).replace(f"'{_NAN}'", number).encode()


def _places(tree: Tree, prefix: str = "") -> Iterator[Place]:
    """Yield the places of all values of a tree."""
    items = tree.items() if isinstance(tree, dict) else enumerate(tree)
    for key, value in items:
        if isinstance(tree, dict):
            field = f"{prefix}.{key}" if prefix else str(key)
        else:
            field = f"{prefix}[]"
        yield Place(tree, key, field)
        if isinstance(value, dict | list):
            yield from _places(value, field)


def _mutate_tree(tree: Tree, write: Write, rng: random.Random) -> Mutation:
    places = list(_places(tree)) if isinstance(tree, dict | list) else []
    if not places:
        return _mutate_bytes("", write(tree, rng), rng)
    # Few lists are so long that a choice among all places would meet nothing else.
    by_container: dict[int, list[Place]] = {}
    for place in places:
        by_container.setdefault(id(place.container), []).append(place)
    place = rng.choice(rng.choice(list(by_container.values())))
    kind = rng.choice(_kinds_for(place))
    if kind == "root":
        root = rng.choice([[], {}, 3, "text", None, [tree], {"a": tree}])
        return Mutation(kind, write(root, rng))
    if kind == "missing":
        del place.container[place.key]
        kind = "length" if isinstance(place.container, list) else kind
    elif kind == "duplicate":
        return Mutation(kind, _duplicated(tree, place.key, write, rng), place.field)
    elif kind == "deep":
        place.container[place.key] = "@@deep@@"
        depth = rng.choice(_DEPTHS)
        nested = b"[" * depth + b"]" * depth
        text = write(tree, rng)
        for quoted in (b'"@@deep@@"', b"'@@deep@@'", b"@@deep@@"):
            text = text.replace(quoted, nested)
        return Mutation(kind, text, place.field)
    else:
        place.container[place.key] = _changed(place.value, kind, write, rng)
    return Mutation(kind, write(tree, rng), place.field)


def _kinds_for(place: Place) -> list[str]:
    kinds = ["type", "type", "null", "missing", "deep", "root"]
    value = place.value
    if isinstance(place.container, dict) and isinstance(place.key, str):
        kinds.append("duplicate")
    if isinstance(value, bool):
        kinds.append("value")
    elif isinstance(value, int | float):
        kinds += ["value", "negative", "nan", "large", "huge"]
    elif isinstance(value, str):
        kinds += ["other text", "path", "odd text", "long text"]
    elif isinstance(value, list):
        kinds += ["length", "nested"]
    return kinds


def _changed(value: Any, kind: str, write: Write, rng: random.Random) -> Any:
    if kind == "type":
        # An integer is a number too, but a truth value is none.
        own = (int, float) if isinstance(value, float) else (type(value),)
        return rng.choice([one for one in _TYPES if type(one) not in own])
    if kind == "value":
        return not value if isinstance(value, bool) else value * rng.choice([2, 10, 0]) + 1
    if kind == "negative":
        return -abs(value) - 1
    if kind == "large":
        return rng.choice([10**9, 10**12])
    if kind == "huge":
        return rng.choice([2**63, 10**400])
    if kind == "nan":
        return _NAN
    if kind == "other text":
        return rng.choice([f"{value}x", value[:-1], value.upper(), "", "<b>[x](y)"])
    if kind == "path":
        return rng.choice(["../../../x", "/etc/passwd", ".."])
    if kind == "odd text":
        half = "\udcff" if write is json_text else "~"
        return rng.choice(["a\0b", "x" * 300, "a\nb", half])
    if kind == "long text":
        return "x" * 100_000
    if kind == "length":
        return rng.choice([value[:-1], value * 2, value[:1], []])
    if kind == "nested":
        return [value]
    assert kind == "null", kind
    return None


def _duplicated(tree: Tree, key: str, write: Write, rng: random.Random) -> bytes:
    text = write(tree, rng)
    if write is json_text:
        name = json.dumps(key).encode()
        return text.replace(name + b":", name + b": 3, " + name + b":", 1)
    name = key.encode()
    return text + b"\n" + name + b": 3\n" + name + b": 4\n"


def _mutate_bytes(name: str, content: bytes, rng: random.Random) -> Mutation:
    place = rng.randrange(len(content) + 1)
    kind = rng.choice(["truncated", "empty", "not UTF-8", "zeros", "byte", "twice", "BOM"])
    if name.endswith(".jsonl") and rng.random() < 0.3:
        kind = "cut after a row"
    changed = {
        "truncated": content[:place],
        "cut after a row": content[: content.rfind(b"\n", 0, place) + 1],
        "empty": b"",
        "not UTF-8": content[:place] + b"\xff\xfe\xc3(" + content[place:],
        "zeros": bytes(len(content)),
        # One byte can turn a digit into another, which nothing shows.
        "byte": content[:place] + bytes([rng.randrange(256)]) + content[place + 1 :],
        "twice": content + content,
        "BOM": b"\xef\xbb\xbf" + content,
    }
    return Mutation(kind, changed[kind])


def _mutate_tensors(content: bytes, rng: random.Random) -> Mutation:
    size = struct.unpack("<Q", content[:8])[0]
    if rng.random() < 0.3:
        claimed = rng.choice([0, 1, size + 1, 10**9, 2**63, 2**64 - 1])
        return Mutation("header size", struct.pack("<Q", claimed) + content[8:])
    changed = _mutate_tree(json.loads(content[8 : 8 + size]), json_text, rng)
    header = struct.pack("<Q", len(changed.content)) + changed.content
    return Mutation(f"header: {changed.kind}", header + content[8 + size :], changed.field)


def _mutate_lines(content: bytes, rng: random.Random) -> Mutation:
    lines = content.splitlines(keepends=True)
    index = rng.randrange(len(lines))
    kind = rng.choice(["lines missing", "line twice", "long line", "line of other content"])
    if kind == "lines missing":
        del lines[index:]
    elif kind == "line twice":
        lines.insert(index, lines[index])
    elif kind == "long line":
        lines[index] = b"x" * 100_000 + b"\n"
    else:
        lines[index] = rng.choice([b"\0\n", b"a b c d e\n", b"-1 -1\n", b"==== 99999999999999\n"])
    return Mutation(kind, b"".join(lines))
