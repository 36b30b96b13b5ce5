"""Reads bytes as uvicorn's two HTTP parsers do, h11 and httptools, set up as uvicorn sets them up.

First prints one JSON line, {"found": [parser], "clients": [parser], "missing": {parser: why}}. Then for every line of standard input, a list
of pieces in base64, prints {parser: {"requests": […], "refused": why or null, "rest": base64 or null}}. `rest` is what
follows an upgrade to a WebSocket. A line {"to": [methods], "pieces": […]} asks for the answers to requests of these methods
as clients read them, {parser: {"answers": […], "refused": why or null}}: h11 is the parser of Prefect's client (httpx),
http.client that of Python's own urllib, and of requests.
Folders in argv are searched for parsers that are not installed.
"""

import base64
import http.client
import io
import json
import sys

sys.path.extend(sys.argv[1:])

found, missing = {}, {}


def seen(method, target, headers, body=b""):
    return {
        "method": method.decode("latin-1"),
        "target": target.decode("latin-1"),
        "headers": [[name.decode("latin-1").lower(), value.decode("latin-1")] for name, value in headers],
        "body": body.decode("latin-1"),
    }


def asks_for_websocket(headers):
    fields = [(name.lower(), value.lower()) for name, value in headers]
    upgrade = any(name == b"upgrade" and value == b"websocket" for name, value in fields)
    named = any(
        name == b"connection" and b"upgrade" in [member.strip() for member in value.split(b",")] for name, value in fields
    )
    return upgrade and named


def answer(requests, refused=None, rest=None):
    return {
        "requests": requests,
        "refused": refused,
        "rest": None if rest is None else base64.b64encode(rest).decode(),
    }


def answered(status, headers, body):
    return {
        "status": status,
        "headers": [[name.decode("latin-1").lower(), value.decode("latin-1")] for name, value in headers],
        "body": body.decode("latin-1"),
    }


clients = {}

try:
    import h11
    from uvicorn.protocols.http.h11_impl import DEFAULT_MAX_INCOMPLETE_EVENT_SIZE

    def by_h11(pieces):
        connection = h11.Connection(h11.SERVER, DEFAULT_MAX_INCOMPLETE_EVENT_SIZE)
        requests, request, body = [], None, b""
        pieces = list(pieces)
        try:
            while True:
                event = connection.next_event()
                if event is h11.NEED_DATA:
                    if not pieces:
                        return answer(requests)
                    connection.receive_data(pieces.pop(0))
                elif event is h11.PAUSED:
                    return answer(requests, None, connection.trailing_data[0] + b"".join(pieces))
                elif isinstance(event, h11.Request):
                    request, body = event, b""
                elif isinstance(event, h11.Data):
                    body += bytes(event.data)
                elif isinstance(event, h11.EndOfMessage):
                    if list(event.headers):
                        return answer(requests, "trailers")
                    requests.append(seen(request.method, request.target, request.headers, body))
                    if asks_for_websocket(request.headers):
                        continue
                    # Answered and, where the client did not say close, on to the next, as uvicorn does.
                    connection.send(h11.Response(status_code=200, headers=[(b"content-length", b"0")]))
                    connection.send(h11.EndOfMessage())
                    if connection.our_state is h11.MUST_CLOSE:
                        return answer(requests)
                    connection.start_next_cycle()
                else:
                    return answer(requests)
        except h11.RemoteProtocolError as error:
            return answer(requests, str(error))

    def answers_by_h11(methods, pieces):
        # As httpcore sets it up for httpx.
        connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=100 * 1024)
        answers = []
        pieces = [*pieces, b""]
        try:
            for method in methods:
                connection.send(h11.Request(method=method, target="/", headers=[("host", "a")]))
                connection.send(h11.EndOfMessage())
                response, body = None, b""
                while True:
                    event = connection.next_event()
                    if event is h11.NEED_DATA:
                        if not pieces:
                            return {"answers": answers, "refused": None}
                        connection.receive_data(pieces.pop(0))
                    elif isinstance(event, h11.Response):
                        response = event
                    elif isinstance(event, h11.InformationalResponse):
                        answers.append(answered(event.status_code, event.headers, b""))
                    elif isinstance(event, h11.Data):
                        body += bytes(event.data)
                    elif isinstance(event, h11.EndOfMessage):
                        if list(event.headers):
                            return {"answers": answers, "refused": "trailers"}
                        answers.append(answered(response.status_code, response.headers, body))
                        break
                    else:
                        return {"answers": answers, "refused": None}
                if connection.our_state is not h11.DONE or connection.their_state is not h11.DONE:
                    return {"answers": answers, "refused": None}
                connection.start_next_cycle()
        except h11.RemoteProtocolError as error:
            return {"answers": answers, "refused": str(error)}
        return {"answers": answers, "refused": None}

    found["h11"] = by_h11
    clients["h11"] = answers_by_h11
except ImportError as error:
    missing["h11"] = str(error)

try:
    import httptools

    class Messages:
        def __init__(self):
            self.requests = []

        def on_message_begin(self):
            self.url, self.headers, self.body = b"", [], b""

        def on_url(self, url):
            self.url += url

        def on_header(self, name, value):
            self.headers.append((name, value))

        def on_body(self, body):
            self.body += body

        def on_message_complete(self):
            self.requests.append(seen(self.parser.get_method(), self.url, self.headers, self.body))

    def by_httptools(pieces):
        messages = Messages()
        messages.parser = httptools.HttpRequestParser(messages)
        try:
            messages.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        except AttributeError:
            pass
        for number, piece in enumerate(pieces):
            try:
                messages.parser.feed_data(piece)
            except httptools.HttpParserUpgrade as upgrade:
                if asks_for_websocket(messages.headers):
                    return answer(messages.requests, None, piece[upgrade.args[0] :] + b"".join(pieces[number + 1 :]))
                return answer(messages.requests)
            except httptools.HttpParserError as error:
                return answer(messages.requests, f"{type(error).__name__}: {error}")
        return answer(messages.requests)

    class Answers:
        def __init__(self):
            self.answers = []

        def on_message_begin(self):
            self.headers, self.body = [], b""

        def on_header(self, name, value):
            self.headers.append((name, value))

        def on_body(self, body):
            self.body += body

        def on_message_complete(self):
            self.answers.append(answered(self.parser.get_status_code(), self.headers, self.body))

    def answers_by_httptools(methods, pieces):
        if "HEAD" in methods:
            return None
        messages = Answers()
        messages.parser = httptools.HttpResponseParser(messages)
        for piece in pieces:
            try:
                messages.parser.feed_data(piece)
            except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
                return {"answers": messages.answers, "refused": f"{type(error).__name__}: {error}"}
        return {"answers": messages.answers, "refused": None}

    found["httptools"] = by_httptools
    clients["httptools"] = answers_by_httptools
except ImportError as error:
    missing["httptools"] = str(error)


class Wire(io.BufferedReader):
    """What has come by one connection; http.client closes its file after each answer."""

    def makefile(self, _mode):
        return self

    def close(self):
        pass


def answers_by_http_client(methods, pieces):
    wire, answers = Wire(io.BytesIO(b"".join(pieces))), []
    for method in methods:
        if not wire.peek(1):
            break
        response = http.client.HTTPResponse(wire, method=method)
        try:
            response.begin()
            body = response.read()
        except (http.client.HTTPException, ValueError, MemoryError) as error:
            return {"answers": answers, "refused": f"{type(error).__name__}: {error}"}
        headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in response.headers.raw_items()]
        answers.append(answered(response.status, headers, body))
        if response.will_close:
            break
    return {"answers": answers, "refused": None}


clients["http.client"] = answers_by_http_client

print(json.dumps({"found": list(found), "clients": list(clients), "missing": missing}), flush=True)
for line in sys.stdin:
    asked = json.loads(line)
    if isinstance(asked, dict):
        some = [base64.b64decode(piece) for piece in asked["pieces"]]
        print(json.dumps({name: read(asked["to"], some) for name, read in clients.items()}), flush=True)
        continue
    some = [base64.b64decode(piece) for piece in asked]
    print(json.dumps({name: read(some) for name, read in found.items()}), flush=True)
