# Runs a command at a terminal of its own and types an answer, from $ANSWERS (one a line), whenever a question stands
# there: what the terminal shows goes to standard output, and the command's exit code is this program's.
import os, pty, select, sys, time

answers = os.environ.pop("ANSWERS", "").split("\n")
pid, terminal = pty.fork()
if pid == 0:
    os.execvp(sys.argv[1], sys.argv[1:])
shown = b""
seen = 0
deadline = time.time() + 50
while time.time() < deadline:
    ready, _, _ = select.select([terminal], [], [], 1)
    if not ready:
        continue
    try:
        text = os.read(terminal, 65536)
    except OSError:
        break
    if not text:
        break
    shown += text
    if shown[seen:].endswith(b": ") and answers:
        seen = len(shown)
        time.sleep(0.2)  # a person is not faster than the program that turns the echo off
        os.write(terminal, answers.pop(0).encode() + b"\r")
sys.stdout.buffer.write(shown)
sys.stdout.flush()
_, status = os.waitpid(pid, 0)
sys.exit(os.waitstatus_to_exitcode(status))
