"""Turns into the program named on its command line, after arranging that the kernel ends it when its parent dies.

    python sc2_guard.py PARENT_PID PROGRAM ARGUMENT...

So no game is left over even where the parent was killed by SIGKILL and could not clean up.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1  # from <linux/prctl.h>

if __name__ == "__main__":
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != int(sys.argv[1]):  # it died before we could ask
            sys.exit(1)
    os.execv(sys.argv[2], sys.argv[2:])
