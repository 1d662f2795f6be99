"""Addresses by environment variables, and what the answers of a server mean."""

from __future__ import annotations

import pytest

from lmlab.data.hub.address import Address, refusal, unreachable


def test_variables_of_the_environment_are_honoured(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HF_ENDPOINT", "HF_TOKEN", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    assert Address.from_environment("a/b") == Address("a/b")
    monkeypatch.setenv("HF_ENDPOINT", "https://mirror.example/")
    monkeypatch.setenv("HF_TOKEN", "secret")
    monkeypatch.setenv("HF_HUB_OFFLINE", "YES")
    assert Address.from_environment("a/b") == Address(
        "a/b", "https://mirror.example", "secret", True
    )


def test_names_are_quoted_and_slashes_kept() -> None:
    address = Address("a/b", "http://x")
    assert address.file_url("c0", "d e/é#.txt").endswith("/a/b/resolve/c0/d%20e/%C3%A9%23.txt")
    assert address.info_url("refs/pr/1").endswith("/revision/refs%2Fpr%2F1")
    assert "/tree/c0/d%20e?recursive=true" in address.tree_url("c0", "d e")


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [(401, None, "no such public"), (404, "RepoNotFound", "no such public"),
     (401, "GatedRepo", "gated"), (403, None, "gated"),
     (404, "RevisionNotFound", "data.revision=main"), (503, None, "HTTP 503")],
)  # fmt: skip
def test_each_refusal_has_its_words(status: int, code: str | None, expected: str) -> None:
    error = refusal(Address("a/b"), "main", status, code)
    assert expected in error.message and error.help


def test_offline_is_told_apart_from_no_network() -> None:
    assert "HF_HUB_OFFLINE is set" in unreachable(Address("a/b", offline=True), "").message
    assert "cannot reach http://x (refused)" in unreachable(
        Address("a/b", "http://x"), "refused"
    ).message  # fmt: skip
