"""Holds certificates against pkilint's RFC 5280 linter: pkilint_certs.py EXTRAS FILE... prints {file: [[code, severity, said]]}.

Its command line does one file at a time, half a second each; this makes the same validator as that and uses it for all.
"""

import json
import sys

sys.path.append(sys.argv[1])
from pkilint import loader  # noqa: E402
from pkilint.pkix import certificate, extension, name  # noqa: E402
from pkilint.validation import ValidationFindingSeverity  # noqa: E402

validator = certificate.create_pkix_certificate_validator_container(
    certificate.create_decoding_validators(name.ATTRIBUTE_TYPE_MAPPINGS, extension.EXTENSION_MAPPINGS),
    [
        certificate.create_issuer_validator_container([]),
        certificate.create_validity_validator_container(),
        certificate.create_subject_validator_container([]),
        certificate.create_extensions_validator_container([]),
        certificate.create_spki_validator_container([]),
    ],
)


def lint(path):
    with open(path, encoding="ascii") as file:
        document = loader.load_pem_certificate(file.read(), path)
    return [
        [each.finding.code, each.finding.severity.name, each.message or ""]
        for result in validator.validate(document.root)
        for each in result.finding_descriptions
        if each.finding.severity <= ValidationFindingSeverity.NOTICE
    ]


print(json.dumps({path: lint(path) for path in sys.argv[2:]}))
