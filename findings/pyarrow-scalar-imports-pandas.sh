#!/usr/bin/env bash
# pyarrow: making a scalar imports pandas
#
# Expected: pyarrow works without pandas, so a program that never asks for a pandas object does not
#   import it; only methods such as to_pandas do.
# What happens: where pandas is installed, the first pyarrow.scalar("x"), or a compute function that
#   makes a scalar of a Python value (fill_null, binary_join_element_wise), imports it. Reading a
#   Parquet file with such a call costs several hundred modules more at its start. A scalar that is
#   an element of an array built from buffers does not import it.
# Version: pyarrow 26.0.1 with pandas 3.1.1, Python 3.11. Date: 2026-11-30.
# In lmlab: src/lmlab/records/arrow.py builds its scalars from buffers
#   (test_reading_does_not_import_pandas).
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pyarrow==26.0.1 pandas==3.1.1

cat > "$folder/program.py" <<'PROGRAM'
import sys
from array import array

import pyarrow
import pyarrow.compute

def modules() -> int:
    return sum(name.partition(".")[0] == "pandas" for name in sys.modules)

print("modules of pandas after importing pyarrow:", modules())
offsets = pyarrow.py_buffer(array("q", [0, 1]).tobytes())
built = pyarrow.LargeStringArray.from_buffers(1, offsets, pyarrow.py_buffer(b"x"))[0]
print("after an element of an array from buffers:", modules(), repr(built))
made = pyarrow.scalar("x", pyarrow.large_string())
found = modules()
print("after pyarrow.scalar:", found, repr(made))
assert built == made
sys.exit(0 if found else 1)
PROGRAM
"$folder/venv/bin/python" "$folder/program.py"
