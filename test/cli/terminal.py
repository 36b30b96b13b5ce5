# Runs a command on a terminal of its own and types into it: terminal.py KEYS COMMAND…, KEYS being a JSON list with an
# entry for each question that ends in ": ". Prints JSON: what the screen showed, the exit code (negative: the signal),
# and whether the terminal echoes again.
import fcntl
import json
import os
import select
import sys
import termios

keys, command = json.loads(sys.argv[1]), sys.argv[2:]
ours, theirs = os.openpty()
pid = os.fork()
if pid == 0:
    os.setsid()
    fcntl.ioctl(theirs, termios.TIOCSCTTY, 0)
    for stream in (0, 1, 2):
        os.dup2(theirs, stream)
    os.execvp(command[0], command)
# Theirs stays open, so that its settings can be read when the command is gone.
screen, seen = b"", 0
ended = None
os.set_blocking(ours, False)
while ended is None:
    done, status = os.waitpid(pid, os.WNOHANG)
    try:
        while True:
            screen += os.read(ours, 4096)
    except BlockingIOError:
        pass
    if keys and screen[seen:].endswith(b": "):
        seen = len(screen)
        os.write(ours, keys.pop(0).encode())
    if done:
        ended = os.waitstatus_to_exitcode(status)
    else:
        select.select([ours], [], [], 0.02)
echo = bool(termios.tcgetattr(theirs)[3] & termios.ECHO)
print(json.dumps({"screen": screen.decode("utf-8", "replace"), "status": ended, "echo": echo}))
