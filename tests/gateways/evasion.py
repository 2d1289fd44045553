"""A server that wants more processes than it has room for, in every way that it knows. Each way
tries as often as it is told, and all that comes of it sleeps. It says what it tried as JSON."""

import ctypes
import json
import os
import shutil
import sys
import time

SLEEP = ["sleep", "60"]
PR_SET_NAME = 15
PTRACE_TRACEME = 0
libc = ctypes.CDLL(None, use_errno=True)


def child(body):
    """Forks; the child does `body` and ends. Whether there was a child."""
    try:
        pid = os.fork()
    except OSError:
        return False
    if pid == 0:
        try:
            body()
        finally:
            os._exit(0)
    return True


def plainly():
    os.execvp(SLEEP[0], SLEEP)


def by_another_name():
    """As the gateway is called."""
    libc.prctl(PR_SET_NAME, b"node", 0, 0, 0)
    os.execvp(SLEEP[0], ["node", *SLEEP[1:]])


def by_a_session_of_its_own():
    os.setsid()
    child(plainly)


def from_memory():
    memory = os.memfd_create("x", 0)
    with open(shutil.which(SLEEP[0]), "rb") as program:
        os.write(memory, program.read())
    os.execve(memory, SLEEP, {})


def from_shared_memory():
    copy = f"/dev/shm/sleep-{os.getpid()}"
    shutil.copy(shutil.which(SLEEP[0]), copy)
    os.execv(copy, SLEEP)


def traced():
    libc.ptrace(PTRACE_TRACEME, 0, 0, 0)
    os.execvp(SLEEP[0], SLEEP)


def without_a_program():
    time.sleep(60)


WAYS = [
    plainly,
    by_another_name,
    by_a_session_of_its_own,
    from_memory,
    from_shared_memory,
    traced,
    without_a_program,
]


def main():
    often = int(sys.argv[1])
    made = {}
    for way in WAYS:
        made[way.__name__] = sum(child(way) for _ in range(often))
    print(json.dumps(made), flush=True)
    time.sleep(60)


main()
