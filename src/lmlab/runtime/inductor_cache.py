"""Where Inductor keeps the kernels of compiled runs."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from lmlab.errors import DiskError
from lmlab.storage.io import make_folder


def set_inductor_cache(cache: Path) -> None:
    """Store Inductor's kernels in ``cache`` unless the user has set ``TORCHINDUCTOR_CACHE_DIR``.

    Where ``cache`` is not writable, Inductor stores them in the folder of temporary files. To this
    folder, importing ``torch._dynamo`` sets the variable (torch 2.13), which no user has chosen.
    """
    from torch._inductor.runtime.cache_dir_utils import default_cache_dir  # slow to import

    folder, variable = cache / "inductor", "TORCHINDUCTOR_CACHE_DIR"
    if os.environ.get(variable) not in (None, os.path.abspath(default_cache_dir())):
        return
    with contextlib.suppress(DiskError):
        if os.access(make_folder(folder), os.W_OK):
            os.environ[variable] = str(folder.resolve())
