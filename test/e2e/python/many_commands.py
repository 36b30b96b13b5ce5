"""Prefect's own command line, many times, from one process that has loaded it once: each command in a fork of its own.

A Prefect command spends nearly all of its 2-4 s on imports. Here each is a child that has them already: with its own
settings, arguments, working folder and output, and its own end, `atexit` and all. Reads lines of JSON from stdin:

    {"id": 1, "args": ["flow-run", "ls"], "env": {…}, "cwd": "…", "out": "/path"}   a command of `prefect`
    {"id": 2, "script": "/path.py", "args": [], …}                                   a script, as `python /path.py` runs it
    {"id": 2, "signal": 15}                                                          a signal to one that runs

and writes {"id": 1, "code": 0} for each that has ended (a negative code is a signal). Its children end with it.
"""

import atexit
import gc
import importlib
import json
import os
import pkgutil
import runpy
import selectors
import signal
import sys
import threading
import traceback

import prefect.cli
import prefect.cli._app
import prefect.context


def load() -> None:
    """Everything that a command imports when it is called."""
    for module in pkgutil.walk_packages(prefect.cli.__path__, "prefect.cli."):
        if not module.name.startswith(("prefect.cli.cloud", "prefect.cli.dev")):
            importlib.import_module(module.name)
    for name in ("flow_engine", "task_worker", "task_engine", "runner", "workers.process", "infrastructure.provisioners"):
        importlib.import_module(f"prefect.{name}")


def end(code: int) -> None:
    """What an interpreter does at its end, but for taking itself apart: that would copy all that a fork shares."""
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def become(job: dict) -> None:
    """In the child: the command itself, as if this process had been started for it."""
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGCHLD, signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    written = os.open(job["out"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for number, at in ((0, nothing), (1, written), (2, written)):
        os.dup2(at, number)
    os.environ.clear()
    os.environ.update(job["env"])
    os.chdir(job["cwd"])
    prefect.context.refresh_global_settings_context()
    try:
        if "script" in job:
            sys.argv = [job["script"], *job["args"]]
            sys.path.insert(0, os.path.dirname(job["script"]))
            runpy.run_path(job["script"], run_name="__main__")
        else:
            sys.argv = [os.path.join(os.path.dirname(sys.executable), "prefect"), *job["args"]]
            prefect.cli.app()
    except SystemExit as exit:
        if exit.code is not None and not isinstance(exit.code, int):
            print(exit.code, file=sys.stderr)
        end(exit.code if isinstance(exit.code, int) else 0 if exit.code is None else 1)
    except BaseException:
        traceback.print_exc()
        end(1)
    end(0)


def main() -> dict | None:
    """Serves until stdin ends; answers None then, and in a child the command that it is to become."""
    wake, woken = os.pipe()
    os.set_blocking(woken, False)
    signal.set_wakeup_fd(woken)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    events = selectors.DefaultSelector()
    events.register(0, selectors.EVENT_READ)
    events.register(wake, selectors.EVENT_READ)
    running: dict[int, int] = {}
    rest = b""
    print(json.dumps({"ready": os.getpid()}), flush=True)
    while True:
        for key, _ in events.select():
            read = os.read(key.fd, 65536)
            if key.fd == wake:
                continue
            if read == b"":
                for pid in running:
                    os.kill(pid, signal.SIGKILL)
                return None
            *lines, rest = (rest + read).split(b"\n")
            for line in lines:
                job = json.loads(line)
                if "signal" in job:
                    for pid in (pid for pid, known in running.items() if known == job["id"]):
                        os.kill(pid, job["signal"])
                    continue
                pid = os.fork()
                if pid == 0:
                    events.close()
                    return job
                running[pid] = job["id"]
        for pid in list(running):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended != 0:
                print(json.dumps({"id": running.pop(pid), "code": os.waitstatus_to_exitcode(status)}), flush=True)


if __name__ == "__main__":
    load()
    if threading.active_count() != 1:
        raise SystemExit(f"a fork would lose threads: {threading.enumerate()}")
    # What is here stays: the children's collector shall not touch it, which would copy it.
    gc.collect()
    gc.freeze()
    command = main()
    if command is not None:
        become(command)
