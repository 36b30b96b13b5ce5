"""Makes cases.json from a checkout of x509-limbo: python3 generate.py CHECKOUT COMMIT >cases.json, then `npm run format`.

x509-limbo's own code makes the chains (its testcases/*.py, unchanged), with two differences, so that a gate can be asked
in a real handshake: its P-256 keys are derived from the name of the case and a number (SHA-256, taken as the scalar), so
that a test can have the leaf's key without any key being kept in a file; and in cases for the validation of servers the
purposes serverAuth and clientAuth change places, so that they are about clients.
Serial numbers and signatures differ from run to run. Cases that a gate cannot be asked are left out, each with its reason.
Needs Python 3.11 or newer with cryptography 46, pydantic 2 and pyyaml.
"""

import hashlib
import json
import sys
from base64 import b64encode

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

ORDER_P256 = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
CLIENT, SERVER = ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH
generate_any = ec.generate_private_key
current = {"id": "", "keys": 0}


def scalar(case, number):
    return int.from_bytes(hashlib.sha256(f"certgate limbo {case} {number}".encode()).digest(), "big") % ORDER_P256


def derive(curve, backend=None):
    if not isinstance(curve, ec.SECP256R1):
        return generate_any(curve)
    current["keys"] += 1
    return ec.derive_private_key(scalar(current["id"], current["keys"]), curve)


def purposes_of(client, server):
    x509.OID_CLIENT_AUTH, x509.OID_SERVER_AUTH = client, server
    ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH = client, server


ec.generate_private_key = derive
checkout, commit = sys.argv[1:]
sys.path.insert(0, checkout)
from limbo.testcases import registry  # noqa: E402
from limbo.testcases._core import Builder  # noqa: E402


def make(case, client, server):
    current.update(id=case, keys=0)
    purposes_of(client, server)
    Builder.leaf_cert.__kwdefaults__["eku"].ext.__init__([server])
    return registry[case]()


def der(pem):
    certificate = x509.load_pem_x509_certificate(pem.encode())
    return b64encode(certificate.public_bytes(serialization.Encoding.DER)).decode()


def key_number(case, pem):
    """Which of the derived keys the leaf has; None when it is of another kind."""
    leaf = x509.load_pem_x509_certificate(pem.encode())
    try:
        point = leaf.public_key().public_numbers()
    except Exception:
        return None
    for number in range(1, current["keys"] + 1):
        if ec.derive_private_key(scalar(case, number), ec.SECP256R1()).public_key().public_numbers() == point:
            return number
    return None


def reason_to_leave_out(case, made, key):
    """Why a gate cannot be asked this; None when it can."""
    if case == "invalid::invalid-issuer-key":
        return "has an intermediate that OpenSSL does not load, on the client's side either"
    if case.startswith("crl::"):
        return "is about CRLs: a gate takes none, it asks its own records"
    if made.max_chain_depth is not None:
        return "is about a setting for the longest chain, which a gate does not have"
    if case.startswith(("webpki::cn::", "webpki::san::")):
        return "is about the name that a server is called by, or names of the public web: a gate calls no client by a name"
    if case.startswith("webpki::cryptographydotio"):
        return "is a server's real certificate, whose key nobody else has"
    if key is None:
        return "has a leaf whose key is of another kind than P-256, so that there is no deriving it"
    if made.validation_time is not None and made.expected_result == "SUCCESS":
        return "was valid at a moment in the past: a gate goes by the clock of its machine"
    if case.startswith("pathological::nc-dos") or case.startswith("pathological::pathological-chain") and case.endswith(
        ("distinct-subject-same-key", "same-subject-distinct-key")
    ):
        return "is left out for its size"
    return None


certificates, cases, left_out = [], [], {}


def index_of(pem):
    text = der(pem)
    if text not in certificates:
        certificates.append(text)
    return certificates.index(text)


for case in sorted(registry):
    made = make(case, CLIENT, SERVER)
    if made.validation_kind == "SERVER":
        made = make(case, SERVER, CLIENT)
    try:
        key = key_number(case, made.peer_certificate)
    except ValueError:
        key = None
    reason = reason_to_leave_out(case, made, key)
    if reason is not None:
        left_out[case] = reason
        continue
    cases.append({
        "id": case,
        "expected": made.expected_result,
        "key": key,
        "peer": index_of(made.peer_certificate),
        "intermediates": [index_of(pem) for pem in made.untrusted_intermediates],
        "trusted": [index_of(pem) for pem in made.trusted_certs],
    })
print(len(cases), "cases,", len(left_out), "left out", file=sys.stderr)
origin = {"source": "https://github.com/C2SP/x509-limbo", "commit": commit, "license": "Apache-2.0"}
json.dump({**origin, "leftOut": left_out, "cases": cases, "certificates": certificates}, sys.stdout)
