"""Reads what certgate publishes about a certificate with pyca/cryptography, which has its own parsers (not OpenSSL's).

Arguments: issuer and leaf in PEM, the URL of the list, the URL of the responder. Prints one line of JSON.
"""

import base64
import json
import os
import sys
import urllib.parse
import urllib.request

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import ocsp

with open(sys.argv[1], 'rb') as file:
    issuer = x509.load_pem_x509_certificate(file.read())
with open(sys.argv[2], 'rb') as file:
    leaf = x509.load_pem_x509_certificate(file.read())
list_url, responder = sys.argv[3:5]
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def fetch(request):
    with opener.open(request, timeout=30) as answer:
        return answer.read()


crl = x509.load_der_x509_crl(fetch(list_url))
assert crl.is_signature_valid(issuer.public_key()), 'the signature of the list'
point = crl.extensions.get_extension_for_class(x509.IssuingDistributionPoint)
entry = crl.get_revoked_certificate_by_serial_number(leaf.serial_number)
reason = None
if entry is not None:
    reason = entry.extensions.get_extension_for_class(x509.CRLReason).value.reason.value

statuses = []
for algorithm in (hashes.SHA1(), hashes.SHA256()):
    for nonce in (None, os.urandom(1), os.urandom(32), os.urandom(128)):
        builder = ocsp.OCSPRequestBuilder().add_certificate(leaf, issuer, algorithm)
        if nonce is not None:
            builder = builder.add_extension(x509.OCSPNonce(nonce), critical=False)
        request = builder.build().public_bytes(serialization.Encoding.DER)
        posted = urllib.request.Request(responder, request, {'Content-Type': 'application/ocsp-request'})
        got = f'{responder}/{urllib.parse.quote(base64.b64encode(request).decode(), safe="")}'
        for octets in (fetch(posted), fetch(got)):
            answer = ocsp.load_der_ocsp_response(octets)
            assert answer.response_status is ocsp.OCSPResponseStatus.SUCCESSFUL, answer.response_status
            issuer.public_key().verify(
                answer.signature, answer.tbs_response_bytes, ec.ECDSA(answer.signature_hash_algorithm)
            )
            assert answer.serial_number == leaf.serial_number
            echoed = [extension.value.nonce for extension in answer.extensions]
            assert echoed == ([] if nonce is None else [nonce]), 'the nonce'
            statuses.append(answer.certificate_status.name)

print(
    json.dumps(
        {
            'number': crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number,
            'point': [point.critical, [name.value for name in point.value.full_name]],
            'onlyLeaves': point.value.only_contains_user_certs,
            'reason': reason,
            'ocsp': sorted(set(statuses)),
            'answers': len(statuses),
        }
    )
)
