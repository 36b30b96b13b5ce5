"""Does with a command what systemd does with a service that has a .socket unit: binds a socket, passes it, and starts the
command anew when it has ended with 0, as often as the third argument says. Prints the port, or the path.

    passes_a_socket.py tcp|unix|udp ADDRESS|PATH TIMES COMMAND...
"""

import os
import socket
import sys

kind, where, times, *command = sys.argv[1:]
family = socket.AF_UNIX if kind == "unix" else socket.AF_INET
passed = socket.socket(family, socket.SOCK_DGRAM if kind == "udp" else socket.SOCK_STREAM)
passed.bind(where if kind == "unix" else (where, 0))
if kind != "udp":
    passed.listen()
print(where if kind == "unix" else passed.getsockname()[1], flush=True)
for _ in range(int(times)):
    child = os.fork()
    if child == 0:
        os.dup2(passed.fileno(), 3)
        os.set_inheritable(3, True)
        os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1", LISTEN_FDNAMES="gate")
        os.execvp(command[0], command)
    _, status = os.waitpid(child, 0)
    if status != 0:
        sys.exit(os.waitstatus_to_exitcode(status))
