"""Run as a program: becomes a server that dies with the process that asked for it.

    python -I -S leash.py OWNER SIGNAL UID GID PROGRAM [ARGUMENT ...]

Done by a program of its own, since a preexec_fn is unsafe beside threads, and since the kernel forgets the wish to die
with a parent whenever the user changes: so first the user, then the wish, then the program.
"""

import ctypes
import os
import sys

PR_SET_PDEATHSIG = 1  # linux/prctl.h


def main() -> None:
    owner, signal_number, uid, gid = (int(word) for word in sys.argv[1:5])
    program = sys.argv[5:]
    if uid:
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal_number, 0, 0, 0)
    if os.getppid() != owner:
        sys.exit("the owner died before the server was born")
    os.execv(program[0], program)  # noqa: S606 - becoming the program is what this one is for


if __name__ == "__main__":
    main()
