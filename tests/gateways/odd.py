"""An MCP server with a habit, which its first argument names.

lazy   has children that have ended, and waits for them when somebody reminds it
heaps  has more of them, and never waits for any
deaf   does not mind the end of its input
"""
import json
import os
import signal
import sys
import threading

habit = sys.argv[1]
children = {"lazy": 2, "heaps": 5}.get(habit, 0)

# One thread takes the signals.
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
for _ in range(children):
    if os.fork() == 0:
        os._exit(0)


def listen():
    while True:
        # The kernel's own says who ended (CLD_EXITED); what a process sent is 0 (SI_USER).
        told = signal.sigwaitinfo({signal.SIGCHLD})
        if told.si_code == 0 and habit == "lazy":
            wait()


def wait():
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


threading.Thread(target=listen, daemon=True).start()

answers = {
    "initialize": {
        "protocolVersion": "2025-06-18",
        "capabilities": {"tools": {}},
        "serverInfo": {"name": habit, "version": "1"},
    },
    "tools/list": {"tools": [{"name": habit, "inputSchema": {"type": "object"}}]},
}

for line in iter(sys.stdin.readline, ""):
    message = json.loads(line)
    result = answers.get(message.get("method"))
    if result is not None:
        print(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}), flush=True)

while habit == "deaf":
    signal.pause()
