"""Start a program that does not outlive the one that started it.

    python -m cloudassist_tasks.cli.leash PARENT_PID PROGRAM ARG…

The kernel sends the program SIGTERM when its parent ends, however that happens (Linux: PR_SET_PDEATHSIG,
which an exec keeps). Between fork and here the parent may have ended already: then nothing is started.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1
"""Source: linux/prctl.h."""


def main() -> None:
    """Tie this process to its parent and become the program."""
    parent, program = int(sys.argv[1]), sys.argv[2:]
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() == parent:
        os.execvp(program[0], program)


if __name__ == "__main__":
    main()
