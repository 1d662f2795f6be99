#!/bin/bash
# The noncentral t distribution of scipy.special is NaN at scattered valid arguments.
#
# Expected: nctdtr returns a probability at every finite argument. nctdtr(129, 40.0, 2.8) is about
#   0, because the distribution has its mass near 40.
# Seen: NaN at this point and at about 2 % of a grid, next to finite values. A bisection for the
#   number of pairs that give a t test its power compares NaN with the power, which is False, and
#   returns a wrong number without a warning: 132 pairs instead of 5. scipy.stats.nct.sf, which is
#   computed by Boost, returns the correct 1 at this point.
# Known for scipy.stats.nct.cdf: scipy/scipy#25470, open on this date.
# Versions: scipy 1.17.1, numpy 2.4.6, Python 3.11 to 3.13, 2026-11-29.
# Exit code: 0 while this is so, 1 if it changes.
set -euo pipefail
unset PYTHONPATH  # no other packages than those installed here
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "scipy==1.17.1" "numpy==2.4.6"
"$folder/venv/bin/python" - <<'PYTHON'
import bisect
import math
import sys

import numpy as np
from scipy import special, stats

around = [float(special.nctdtr(129, delta, 2.8)) for delta in (38.0, 40.0, 41.0)]
print("nctdtr(129, delta, 2.8) at delta = 38, 40, 41:", around)
print("stats.nct.sf(2.8, 129, 40):", float(stats.nct.sf(2.8, 129, 40.0)))

grid = [(df, delta) for df in range(2, 200) for delta in np.arange(10.0, 60.0, 1.0)]
values = np.array([special.nctdtr(df, delta, 2.8) for df, delta in grid])
print(f"NaN at {int(np.isnan(values).sum())} of {len(grid)} points of a grid")

effect, sd, level = 0.05158878722236674, 0.014677526243162457, 0.05 / 8


def suffices(n):
    bound = special.stdtrit(n - 1, 1 - level / 2)
    return bool(1 - special.nctdtr(n - 1, effect / sd * math.sqrt(n), bound) >= 0.8)


by_bisection = 2 + bisect.bisect_left(range(2, 1000), True, key=suffices)
one_by_one = next(n for n in range(2, 1000) if suffices(n))
print("pairs needed, by bisection:", by_bisection, "one by one:", one_by_one)
still = math.isnan(around[1]) and math.isfinite(around[0]) and math.isfinite(around[2])
sys.exit(0 if still and np.isnan(values).any() and by_bisection != one_by_one else 1)
PYTHON
