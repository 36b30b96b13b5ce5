"""One request over TLS by Python's ssl, verifying as strictly as it can: strict_client.py FOLDER HOST PORT default|strict|lax

FOLDER has tls.crt, tls.key and ca.crt. `default` takes the flags that this Python gives every context: from 3.13 on they
have VERIFY_X509_STRICT. Prints JSON: the Python, whether the flag was a default and is set, and what came of it.
"""

import json
import os
import socket
import ssl
import sys

folder, host, port, how = sys.argv[1:]
context = ssl.create_default_context(cafile=os.path.join(folder, "ca.crt"))
context.load_cert_chain(os.path.join(folder, "tls.crt"), os.path.join(folder, "tls.key"))
is_default = bool(context.verify_flags & ssl.VERIFY_X509_STRICT)
if how == "strict":
    context.verify_flags |= ssl.VERIFY_X509_STRICT
elif how == "lax":
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
answer, refusal = "", None
try:
    with socket.create_connection(("127.0.0.1", int(port)), timeout=20) as plain:
        with context.wrap_socket(plain, server_hostname=host) as tls:
            tls.sendall(b"GET /api/health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            while piece := tls.recv(65536):
                answer += piece.decode("latin-1")
except ssl.SSLCertVerificationError as error:
    refusal = error.verify_message
print(json.dumps({
    "python": ".".join(map(str, sys.version_info[:3])),
    "openssl": ssl.OPENSSL_VERSION,
    "strictByDefault": is_default,
    "strict": bool(context.verify_flags & ssl.VERIFY_X509_STRICT),
    "refusal": refusal,
    "answer": answer.split("\r\n", 1)[0],
}))
