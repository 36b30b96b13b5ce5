"""Real uvicorn servers that answer with what the ASGI scope holds: one for each of its HTTP and WebSocket parsers.

Prints one JSON line, {"http": {parser: port}, "websocket": {parser: port}, "missing": {parser: why}}, serves on
127.0.0.1 and ends when its standard input does. Folders in argv are searched for parsers that are not installed.
"""

import asyncio
import base64
import importlib
import json
import os
import socket
import sys
import threading

sys.path.extend(sys.argv[1:])

import uvicorn  # noqa: E402

HTTP = {"h11": "h11", "httptools": "httptools"}
WEBSOCKET = {"websockets-sansio": "websockets", "websockets": "websockets.legacy", "wsproto": "wsproto"}


async def echo(scope, receive, send):
    seen = json.dumps(
        {
            "path": scope["path"],
            "rawPath": scope["raw_path"].decode("latin-1"),
            "query": scope["query_string"].decode("latin-1"),
        }
    ).encode()
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept", "headers": [(b"x-scope", base64.b64encode(seen))]})
        await send({"type": "websocket.close", "code": 1000})
        return
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(seen)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": seen})


def listen(**parsers):
    # Named as TCP, because asyncio sets TCP_NODELAY only then; without it each answer waits for a delayed ACK.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    config = uvicorn.Config(echo, lifespan="off", log_level="critical", timeout_keep_alive=600, **parsers)
    return listener, uvicorn.Server(config)


async def main():
    servers, found, missing = [], {"http": {}, "websocket": {}}, {}
    for kind, parsers in (("http", HTTP), ("websocket", WEBSOCKET)):
        for name, module in parsers.items():
            try:
                importlib.import_module(module)
                listener, server = listen(http="h11", ws=name) if kind == "websocket" else listen(http=name)
            except (ImportError, KeyError) as error:
                missing[name] = f"{type(error).__name__}: {error}"
                continue
            found[kind][name] = listener.getsockname()[1]
            servers.append(server.serve(sockets=[listener]))
    running = [asyncio.create_task(server) for server in servers]
    print(json.dumps({**found, "missing": missing, "uvicorn": uvicorn.__version__}), flush=True)
    await asyncio.gather(*running)


def end_with_stdin():
    sys.stdin.buffer.read()
    os._exit(0)


threading.Thread(target=end_with_stdin, daemon=True).start()
asyncio.run(main())
