"""Prefect's own router, asked without running a handler: who would answer this request?

First prints {"prefect": version, "operations": [[method, path, name], …], "openapi": [[method, path], …]}. Then, for
each line {"method", "path", "websocket"} on standard input, one line: {"status": 200, "name", "route", "params"}, or
{"status": 404 | 405 | 307, "location"}. Everything down to the choice of the route is Prefect's, FastAPI's and
Starlette's code; only middleware and handlers are left out.
"""

import asyncio
import atexit
import json
import os
import shutil
import sys
import tempfile

HOME = tempfile.mkdtemp(prefix="certgate-prefect-")
atexit.register(shutil.rmtree, HOME, ignore_errors=True)
os.environ["PREFECT_HOME"] = HOME
os.environ["PREFECT_API_ENABLE_METRICS"] = "true"
for name in ("PREFECT_API_URL", "PREFECT_SERVER_API_AUTH_STRING", "PREFECT_API_AUTH_STRING"):
    os.environ.pop(name, None)

import fastapi.routing  # noqa: E402
import prefect  # noqa: E402
import starlette.applications  # noqa: E402
import starlette.routing  # noqa: E402
from prefect.server.api.server import create_app  # noqa: E402
from starlette.exceptions import HTTPException  # noqa: E402
from starlette.staticfiles import StaticFiles  # noqa: E402


class Answered(Exception):
    pass


def answer(**facts):
    raise Answered(facts)


async def choose_route(self, scope, receive, send):
    if self.methods and scope["method"] not in self.methods:
        answer(status=405)
    name = getattr(scope["endpoint"], "__name__", self.name)
    answer(status=200, name=name, route=self.path, params={k: str(v) for k, v in scope["path_params"].items()})


async def choose_websocket(self, scope, receive, send):
    answer(status=200, name=self.name, route=self.path, params={k: str(v) for k, v in scope["path_params"].items()})


async def choose_static(self, scope, receive, send):
    answer(status=200, name="static", route=scope.get("root_path", ""), params={})


async def without_middleware(self, scope, receive, send):
    scope["app"] = self
    await self.router(scope, receive, send)


async def sent(message):
    if message["type"] == "websocket.close":
        answer(status=404)
    if message["type"] == "http.response.start":
        headers = {k.decode(): v.decode() for k, v in message["headers"]}
        answer(status=message["status"], location=headers.get("location"))


async def ask(app, question):
    scope = {
        "type": "websocket" if question["websocket"] else "http",
        "method": question["method"],
        "path": question["path"],
        "raw_path": b"",
        "root_path": "",
        "query_string": b"",
        "headers": [(b"host", b"prefect.test")],
        "scheme": "http",
        "server": ("127.0.0.1", 4200),
        "http_version": "1.1",
    }
    if question["websocket"]:
        del scope["method"]
    try:
        await app(scope, None, sent)
    except Answered as found:
        return found.args[0]
    except HTTPException as error:
        return {"status": error.status_code}
    return {"status": 0}


def operations(api):
    for context in fastapi.routing.iter_route_contexts(api.routes):
        kind = type(context.original_route).__name__
        if kind == "APIWebSocketRoute":
            route = context._route_context.starlette_route
            yield "WS", route.path, route.name
        elif kind.endswith("APIRoute"):
            for method in sorted(context.methods):
                yield method, context.path, context.name


def main():
    app = create_app(ephemeral=False)
    api = app.api_app
    schema = [[method.upper(), path] for path, item in api.openapi()["paths"].items() for method in item]
    starlette.routing.Route.handle = choose_route
    fastapi.routing.APIRoute.handle = choose_route
    starlette.routing.WebSocketRoute.handle = choose_websocket
    fastapi.routing.APIWebSocketRoute.handle = choose_websocket
    StaticFiles.__call__ = choose_static
    starlette.applications.Starlette.__call__ = without_middleware
    print(
        json.dumps({"prefect": prefect.__version__, "operations": list(operations(api)), "openapi": schema}),
        flush=True,
    )
    for line in sys.stdin:
        print(json.dumps(asyncio.run(ask(app, json.loads(line)))), flush=True)


main()
