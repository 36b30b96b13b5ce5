// Revocation lists for tests: by OpenSSL, and by hand, with whatever is to be odd about them.
import { expect } from 'vitest';
import { derToPem, type Issuer } from '../../src/pki/certificates.ts';
import {
  context,
  contextConstructed,
  encodeTime,
  encodeTlv,
  encodeUnsigned,
  encodingOf,
  TAG,
} from '../../src/pki/der.ts';
import { frameOf } from '../../src/pki/facts.ts';
import { privateKeyToPem } from '../../src/pki/keys.ts';
import { signingAlgorithmOf, withSignature } from '../../src/pki/signing.ts';
import { at, extension, testAuthority } from './fixture.ts';
import { folderWith, openssl } from './openssl.ts';

export interface ListParts {
  /** Each the DER of one entry. */
  readonly entries?: readonly Uint8Array[];
  /** 1 when left out, none for null. */
  readonly number?: number | null;
  /** Besides the number and the key identifier. */
  readonly extensions?: readonly Uint8Array[];
  readonly innerAlgorithm?: Uint8Array;
  readonly thisUpdate?: Date;
  readonly nextUpdate?: Date;
}

/** The entry of `serial`, revoked at `revokedAt`; reason code when given. */
export function listEntry(serial: string, revokedAt: Date, reason?: number): Uint8Array {
  const code = reason === undefined ? [] : [extension('2.5.29.21', Uint8Array.of(TAG.enumerated, 1, reason))];
  return encodeTlv(
    TAG.sequence,
    encodeUnsigned(Buffer.from(serial, 'hex')),
    encodeTime(revokedAt),
    ...code.map((one) => encodeTlv(TAG.sequence, one)),
  );
}

/** A list with these parts, signed by `issuer`, DER. */
export function listBy(issuer: Issuer, parts: ListParts): Promise<Uint8Array> {
  const { entries = [], number = 1, extensions = [], thisUpdate = at(0), nextUpdate = at(1) } = parts;
  const frame = frameOf(issuer.certificate);
  const hex = (number ?? 0).toString(16);
  const octets = Buffer.from(hex.length % 2 === 0 ? hex : `0${hex}`, 'hex');
  const signer = encodeTlv(TAG.sequence, encodeTlv(context(0), Buffer.from(issuer.keyId, 'hex')));
  const all = [
    extension('2.5.29.35', signer),
    ...(number === null ? [] : [extension('2.5.29.20', encodeUnsigned(octets))]),
    ...extensions,
  ];
  const tbs = encodeTlv(
    TAG.sequence,
    encodeUnsigned(Uint8Array.of(1)),
    parts.innerAlgorithm ?? signingAlgorithmOf(issuer.signer.publicKey).identifier,
    encodingOf(frame.der, frame.subject),
    encodeTime(thisUpdate),
    encodeTime(nextUpdate),
    ...(entries.length === 0 ? [] : [encodeTlv(TAG.sequence, ...entries)]),
    ...(all.length === 0 ? [] : [encodeTlv(contextConstructed(0), encodeTlv(TAG.sequence, ...all))]),
  );
  return withSignature(tbs, issuer.signer);
}

/** OpenSSL's list of the test issuer, PEM, number 0A1B: each line a serial in capitals and perhaps a reason. */
export async function listByOpenssl(lines: ReadonlyArray<readonly [serial: string, reason?: string]>): Promise<string> {
  const { issuer, issuerKey } = await testAuthority();
  const folder = folderWith({
    'ca.cnf':
      '[ca]\ndefault_ca=d\n[d]\ndatabase=index.txt\ncrlnumber=number\ndefault_md=sha256\ncrl_extensions=e\n[e]\nauthorityKeyIdentifier=keyid\n',
    'index.txt': lines
      .map(
        ([serial, reason]) =>
          `R\t271231000000Z\t261124110000Z${reason === undefined ? '' : `,${reason}`}\t${serial}\tunknown\t/CN=x\n`,
      )
      .join(''),
    number: '0A1B\n',
    'issuer.crt': derToPem(issuer.certificate.raw, 'CERTIFICATE'),
    'issuer.key': privateKeyToPem(issuerKey.privateKey),
  });
  const files = ['-config', 'ca.cnf', '-cert', 'issuer.crt', '-keyfile', 'issuer.key'];
  const window = ['-crl_lastupdate', '20261124120000Z', '-crl_nextupdate', '20261125120000Z'];
  const made = await openssl(folder, 'ca', '-gencrl', ...files, ...window);
  expect(made.ok, made.text).toBe(true);
  return made.text.slice(made.text.indexOf('-----BEGIN'), made.text.indexOf('-----END X509 CRL-----') + 23);
}
