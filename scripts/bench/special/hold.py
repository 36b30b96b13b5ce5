"""Holds many idle mutual-TLS connections open and notes when each of them ends.

hold.py PORT CHAIN KEY BUNDLE COUNT

Each connection asks once and gets its answer, so that what a proxy makes for a request is there. Then it says
{"open": COUNT} and waits: for its stdin to end, or for all connections to have ended, which it tells as
{"gone": ["ns", ...]} of the monotonic clock. It is Python and not Node because an end must cost it next to nothing: all
that ended since the last look come from one call of epoll and bear one time. Node takes some 30 us for each, so with
10,000 of them it would measure itself.
"""

import json
import select
import socket
import ssl
import sys
import time

REQUEST = b"GET /api/flow_runs/0198c0de-0000-7000-8000-00000000beef HTTP/1.1\r\nhost: localhost\r\naccept: */*\r\n\r\n"
TIMEOUT_S = 30
# Between two looks. Without it each end would wake this process, and on a virtual machine the one who ends pays for waking a
# core that sleeps: several us for each, which clients on other machines would not cost it. It makes an end at most this late.
NAP_S = 0.001


def connect(context: ssl.SSLContext, port: int) -> ssl.SSLSocket:
    tcp = socket.create_connection(("127.0.0.1", port), TIMEOUT_S)
    # Without it the request waits for the acknowledgement of the handshake's last message: 40 ms for each connection.
    tcp.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    secure = context.wrap_socket(tcp, server_hostname="localhost")
    secure.sendall(REQUEST)
    seen = b""
    while b"\r\n\r\n" not in seen or not seen.endswith(b"}"):
        part = secure.recv(65536)
        if not part:
            raise SystemExit(f"connection ended early after {seen!r}")
        seen += part
    if not seen.startswith(b"HTTP/1.1 200 "):
        raise SystemExit(f"answered {seen[:200]!r}")
    return secure


def main(port: int, chain: str, key: str, bundle: str, count: int) -> None:
    context = ssl.create_default_context(cafile=bundle)
    context.load_cert_chain(chain, key)
    poll = select.epoll()
    held = {}
    gone = []
    began = time.monotonic()
    for _ in range(count):
        secure = connect(context, port)
        held[secure.fileno()] = secure
        poll.register(secure.fileno(), select.EPOLLRDHUP | select.EPOLLET)
    waiting = set(held)
    early = waiting.intersection(fd for fd, _ in poll.poll(0, 65536))
    waiting -= early
    seconds = time.monotonic() - began
    print(json.dumps({"open": len(waiting), "seconds": seconds}), flush=True)
    gone += [time.monotonic_ns()] * len(early)
    stdin = sys.stdin.fileno()
    poll.register(stdin, select.EPOLLIN)
    while waiting:
        seen = [fd for fd, _ in poll.poll(maxevents=65536)]
        now = time.monotonic_ns()
        if stdin in seen:
            return
        # A reset is told in two events, which two looks may find.
        ended = waiting.intersection(seen)
        waiting -= ended
        gone += [now] * len(ended)
        time.sleep(NAP_S)
    print(json.dumps({"gone": [str(ns) for ns in gone]}), flush=True)


main(int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4], int(sys.argv[5]))
