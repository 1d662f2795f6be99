"""Add the user's own folders to Hydra's search path."""

from __future__ import annotations

from hydra.core.config_search_path import ConfigSearchPath
from hydra.plugins.search_path_plugin import SearchPathPlugin

from lmlab.config.user_settings import search_path


class UserFolders(SearchPathPlugin):
    """The folders of ``search_path`` in the user's settings, after lmlab's own."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Append the folders."""
        for folder in _folders():
            search_path.append(provider="user", path=f"file://{folder}")


def _folders() -> list[str]:
    return [str(folder.resolve()) for folder in search_path()]
