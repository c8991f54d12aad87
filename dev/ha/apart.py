"""Runs a script as root of namespaces of its own: no process, host, mount or address of it is seen outside, and none outlives it."""

import subprocess
import sys


def run(script, *arguments):
    """The script's exit code. `sh` is its init: it buries the processes whose parents were killed."""
    # `--kill-child` ends them when `unshare` ends, which ends with this process.
    own = ["setpriv", "--pdeathsig", "KILL", "unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
    return subprocess.run([*own, "sh", "-c", '"$@"; exit $?', "sh", sys.executable, script, "--inside", *arguments]).returncode
