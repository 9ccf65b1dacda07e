"""Commands of the system that misbehave, in the place of the real ones."""

import os
import subprocess


def cut_copies(folder, argv):
    """cp, on a disk that loses the second half of what is written."""
    status = subprocess.run(["/bin/cp", *argv[1:]]).returncode
    if status == 0:
        os.truncate(argv[-1], os.path.getsize(argv[-1]) // 2)
    return status


def cut_moves(folder, argv):
    """mv, of which the second half does not arrive."""
    status = subprocess.run(["/bin/mv", *argv[1:]]).returncode
    if status == 0:
        os.truncate(argv[-1], os.path.getsize(argv[-1]) // 2)
    return status


def does_nothing(folder, argv):
    return 0
