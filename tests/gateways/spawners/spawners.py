"""Starts a program in each way that Python and libc have, when asked over HTTP, and tells how it
went: with an exit code, or with an error that the caller could catch."""

import ctypes
import errno
import json
import os
import subprocess
import sys
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

PROGRAM = "/bin/echo"
libc = ctypes.CDLL(None, use_errno=True)
libc.popen.restype = ctypes.c_void_p
libc.fgetc.argtypes = [ctypes.c_void_p]
libc.pclose.argtypes = [ctypes.c_void_p]


def ended(status):
    """What wait(2) said."""
    if os.WIFSIGNALED(status):
        return {"signal": str(os.WTERMSIG(status))}
    return {"code": os.WEXITSTATUS(status)}


def last_error():
    number = ctypes.get_errno()
    return OSError(number, os.strerror(number))


def by_subprocess():
    done = subprocess.run([PROGRAM, "x"], capture_output=True)
    said = done.stderr.decode()
    if done.returncode < 0:
        return {"signal": str(-done.returncode), "said": said}
    return {"code": done.returncode, "said": said}


def by_posix_spawn():
    pid = os.posix_spawn(PROGRAM, [PROGRAM, "x"], os.environ)
    return ended(os.waitpid(pid, 0)[1])


def by_system():
    status = libc.system(b"/bin/echo x")
    if status == -1:
        raise last_error()
    return ended(status)


def by_popen():
    stream = libc.popen(b"/bin/echo x", b"r")
    if not stream:
        raise last_error()
    while libc.fgetc(stream) != -1:
        pass
    return ended(libc.pclose(stream))


def by_fork():
    """The child tells by its exit code how exec failed, as a shell does."""
    pid = os.fork()
    if pid == 0:
        try:
            os.execv(PROGRAM, [PROGRAM, "x"])
        except OSError:
            os._exit(126)
    return ended(os.waitpid(pid, 0)[1])


WAYS = {
    "subprocess": by_subprocess,
    "posix_spawn": by_posix_spawn,
    "system": by_system,
    "popen": by_popen,
    "fork": by_fork,
}


def attempt(way):
    result = {"errno": None, "code": None, "signal": None, "said": ""}
    asked = time.monotonic()
    try:
        result.update(way())
    except OSError as error:
        result.update(errno=errno.errorcode.get(error.errno), said=str(error))
    result["ms"] = (time.monotonic() - asked) * 1000
    return result


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        way = WAYS.get(self.path.removeprefix("/try/"))
        body = json.dumps(attempt(way) if way else {"error": "not found"}).encode()
        self.send_response(200 if way else 404)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
