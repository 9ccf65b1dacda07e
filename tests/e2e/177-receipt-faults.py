#!/usr/bin/env python3
# time-limit: 300
"""The fault points of the shim, which only a fault build has: tests/unit/test_receipt_faults.c, as built there. (Other
variants have fault points themselves and run it as a unit test.)"""

import os
import pathlib
import subprocess
import sys

program = pathlib.Path(os.environ["RBHOST_FAULT_BIN"]).parent / "unit" / "test_receipt_faults"
if os.environ["VARIANT"] != "release":
    print("ok 1 - receipts at every fault point # SKIP it is a unit test of this variant")
    sys.exit(0)
r = subprocess.run([program], stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace")
for line in (r.stdout + r.stderr).splitlines():
    print("#", line)
good = r.returncode == 0 and "test_late_launches" in r.stdout + r.stderr
print(f"{'ok' if good else 'not ok'} 1 - receipts at every fault point, whoever dies there")
sys.exit(not good)
