"""Check in bounded time whether a wandb server responds and accepts the API key."""

from __future__ import annotations

import base64
import http.client
import json
import netrc
import os
import threading
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

PROBE_SECONDS = 3.0


def find_key(base_url: str) -> str | None:
    """Return the API key for the server at ``base_url``: from the environment, else from netrc."""
    key = os.environ.get("WANDB_API_KEY")
    if key:
        return key
    file = Path(os.environ.get("NETRC", str(Path.home() / ".netrc")))
    try:
        found = netrc.netrc(str(file)).authenticators(urllib.parse.urlsplit(base_url).netloc)
    except (OSError, netrc.NetrcParseError):
        return None
    return found[2] if found else None


def find_problem(base_url: str, key: str) -> str | None:
    """Ask the server for the owner of the key; return what is wrong, or None.

    A thread asks, since name resolution and proxies have no time limit.
    """
    answers: list[str | None] = []

    def ask() -> None:
        answers.append(_query(base_url.rstrip("/"), key))

    thread = threading.Thread(target=ask, name="wandb-probe", daemon=True)
    thread.start()
    thread.join(PROBE_SECONDS)
    return answers[0] if answers else _not_responding(base_url)


def _not_responding(base_url: str) -> str:
    return f"{base_url} is not responding"


def _query(base_url: str, key: str) -> str | None:
    token = base64.b64encode(f"api:{key}".encode()).decode()
    try:
        request = urllib.request.Request(
            f"{base_url}/graphql",
            data=b'{"query": "query { viewer { id } }"}',
            headers={"Authorization": f"Basic {token}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=PROBE_SECONDS) as response:
            content = response.read(100_000)
    except urllib.error.HTTPError as error:
        problem = "rejects the API key" if error.code in (401, 403) else "returned an error"
        return f"{base_url} {problem} (HTTP {error.code})"
    except (OSError, ValueError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)
        if isinstance(reason, TimeoutError):
            return _not_responding(base_url)
        return f"{base_url} cannot be reached ({reason})"
    return _read_response(base_url, content)


def _read_response(base_url: str, content: bytes) -> str | None:
    try:
        viewer = json.loads(content)["data"]["viewer"]
    except (ValueError, LookupError, TypeError):  # for example the login page of a hotel network
        return f"{base_url} is not a wandb server"
    return None if viewer else f"{base_url} does not know the API key"
