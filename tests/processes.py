"""Code in a process of its own, and what a process said."""

import os
import subprocess
import sys


def python(code, *arguments):
    """
    Run code in a process that has nothing of this one but the arguments.

    What it said about compiling, which is for a person who waits, is left out of its errors.
    """
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        check=False,
        capture_output=True,
        text=True,
        timeout=100,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    done.stderr = without_progress(done.stderr)
    return done


def without_progress(said):
    """
    Leave out what is for a person who waits.

    Whether kernels are compiled depends on which tests ran before, and in which process.
    """
    lines = said.splitlines(keepends=True)
    return "".join(line for line in lines if not line.startswith("replay: "))
