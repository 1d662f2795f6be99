#!/bin/bash
# Hydra sweeps over values that its range does not contain.
#
# Expected: the documentation of range says r[i] = start + step*i, r[i] < stop for a positive step.
#   range(0.3,0.9,0.3) is 0.3 and 0.6, as range(3,9,3) is 3 and 6.
# Seen: a third job with 0.8999999999999999, and 0.7000000000000001 in range(0,1,0.1). Hydra converts
#   each float to its exact binary value by decimal.Decimal(float), and the sum stays below the stop.
#   More than a third of the ranges with one decimal place have an extra value.
# Versions: hydra-core 1.3.8 (fixed in 1.4.0rc3), omegaconf 2.3.1, Python 3.11, 2026-11-29.
# Exit code: 0 while this is so, 1 if it changes.
set -euo pipefail
unset PYTHONPATH  # no other packages than those installed here
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "hydra-core==1.3.8" "omegaconf==2.3.1"
cd "$folder"
cat > app.py <<'PYTHON'
import hydra


@hydra.main(config_path=None, version_base="1.3")
def main(config):
    print("job with", config.a)


main()
PYTHON
python=$folder/venv/bin/python
"$python" app.py -m '+a=range(0.3,0.9,0.3)' | grep '^job' | tee jobs.txt
"$python" - <<'PYTHON'
from decimal import Decimal

from hydra.core.override_parser.overrides_parser import OverridesParser

parser, wrong, total = OverridesParser.create(), 0, 0
for start in range(0, 10):
    for step in range(1, 5):
        for count in range(1, 6):
            text = [f"{Decimal(n) / 10:.1f}" for n in (start, start + step * count, step)]
            found = list(parser.parse_override(f"a=range({','.join(text)})").sweep_iterator())
            total, wrong = total + 1, wrong + (len(found) != count)
print(f"{wrong} of {total} ranges have an extra value")
raise SystemExit(0 if wrong else 1)
PYTHON
test "$(wc -l < jobs.txt)" = 3 && grep -q '0.8999999999999999' jobs.txt
