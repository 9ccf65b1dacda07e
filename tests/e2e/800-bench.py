#!/usr/bin/env python3
"""The benchmarks' programs still run: each row once, with a hundredth of the work. What they measure is not judged."""
import os
import pathlib
import subprocess
import sys

sys.path.insert(0, os.environ["T"] + "/e2e")
from lib import RBHOST, T, TMP, check, finish

if os.environ["VARIANT"] != "release":
    print("ok 1 - the benchmarks # SKIP they are built for the release alone")
    finish()
build = pathlib.Path(RBHOST).parent
for row in ("1", "2", "3", "4", "5", "10", "large"):
    r = subprocess.run([sys.executable, T / "bench" / "run", "--build", build, row],
                       env={**os.environ, "QUICK": "1", "TMP": str(TMP)}, capture_output=True, text=True)
    lines = r.stdout.splitlines()
    check(f"make bench T={row}", r.returncode == 0 and len(lines) > 2 and all(x.startswith("|") for x in lines),
          r.stdout + r.stderr)
finish()
