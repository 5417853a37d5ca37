"""Run a command that ends with its parent, even if the parent is killed with -9: tether.py PARENT_PID COMMAND ...

Linux sends the signal; elsewhere the command simply runs, and the next start finds what was left behind (broker.py).
The tie is to the thread that started this process, so start it from one that lives as long as the command shall.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main(parent: int, command: list[str]) -> None:
    """Replaces this process; the tie survives the exec, and the process id stays."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:  # it died before the tie was made
        sys.exit(1)
    os.execv(command[0], command)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
