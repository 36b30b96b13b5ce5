// What is in a file of certificates, requests, lists or keys (PEM, RFC 7468, or DER). A private key is recognised and
// never read further than its public half: nothing of it can reach the output.
import { createPrivateKey, createPublicKey, type KeyObject, type X509Certificate } from 'node:crypto';
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { CertgateError } from '../errors.ts';
import {
  type CertificateDescription,
  type CrlDescription,
  describeCertificate,
  describeCrl,
  describeRequest,
  type RequestDescription,
} from '../pki/describe.ts';
import { readCertificate } from '../pki/facts.ts';
import { keyId } from '../pki/keys.ts';

/** A private key: that it is one, and what may be known about it. */
export interface PrivateKeyDescription {
  readonly kind: 'private key';
  readonly encrypted: boolean;
  /** RFC 5280 key identifier of its public key, hex; null when it is encrypted or odd. */
  readonly publicKeyId: string | null;
}

export interface PublicKeyDescription {
  readonly kind: 'public key';
  readonly id: string;
}

/** A PEM block that is none of these. */
export interface UnknownDescription {
  readonly kind: 'unknown';
  readonly label: string;
}

export type Described =
  | CertificateDescription
  | RequestDescription
  | CrlDescription
  | PrivateKeyDescription
  | PublicKeyDescription
  | UnknownDescription;

/** One thing in a file; `certificate` is there for the kind `certificate` only. */
export interface Item {
  readonly described: Described;
  readonly certificate: X509Certificate | null;
}

const LARGEST = 64 * 1024 * 1024;

/** The bytes of a file and its mode (`0600`). System errors as they come. @throws CG_INSPECT when it is too large or no file */
export function readForInspection(path: string): { bytes: Uint8Array; mode: string } {
  const fd = openSync(path, 'r');
  try {
    const stat = fstatSync(fd);
    const { size, mode } = stat;
    if (!stat.isFile()) throw cannotInspect(path, 'is not a file');
    if (size > LARGEST) throw cannotInspect(path, `is larger than ${LARGEST} bytes`);
    const bytes = new Uint8Array(size);
    let filled = 0;
    for (let read = -1; read !== 0 && filled < size; filled += read)
      read = readSync(fd, bytes, filled, size - filled, null);
    return { bytes: bytes.subarray(0, filled), mode: (mode & 0o7777).toString(8).padStart(4, '0') };
  } finally {
    closeSync(fd);
  }
}

/**
 * Everything that `bytes` hold, in their order. `name` is for messages.
 * @throws CG_INSPECT when it is nothing that certgate knows; CG_CERT_UNREADABLE, CG_CSR_UNREADABLE, CG_CRL_UNREADABLE
 */
export function describeBytes(bytes: Uint8Array, name: string): Item[] {
  const text = Buffer.from(bytes).toString('latin1');
  const blocks = [...text.matchAll(/-----BEGIN ([A-Z0-9 ]{1,64})-----[\s\S]*?-----END \1-----/g)];
  if (blocks.length > 0) return blocks.map(([pem, label = '']) => describePem(pem, label));
  if (text.includes('-----BEGIN ')) throw cannotInspect(name, 'holds a PEM block without an end');
  if (bytes[0] !== 0x30) throw cannotInspect(name, 'is neither PEM nor DER');
  return [describeDer(bytes, name)];
}

/** A certificate as an item, whether it came from a file or from a peer. @throws CG_CERT_UNREADABLE */
export function certificateItem(certificate: X509Certificate): Item {
  return { described: describeCertificate(certificate), certificate };
}

function describePem(pem: string, label: string): Item {
  switch (label) {
    case 'CERTIFICATE':
      return certificateItem(readCertificate(pem));
    case 'CERTIFICATE REQUEST':
    case 'NEW CERTIFICATE REQUEST':
      return plain(describeRequest(pem.replaceAll('NEW CERTIFICATE REQUEST', 'CERTIFICATE REQUEST')));
    case 'X509 CRL':
      return plain(describeCrl(pem));
    case 'PUBLIC KEY':
      return plain({ kind: 'public key', id: keyId(createPublicKey(pem)) });
    default:
      return plain(label.endsWith('PRIVATE KEY') ? describePrivateKey(pem) : { kind: 'unknown', label });
  }
}

function plain(described: Described): Item {
  return { described, certificate: null };
}

function describePrivateKey(pem: string): PrivateKeyDescription {
  const encrypted = pem.includes('ENCRYPTED');
  return { kind: 'private key', encrypted, publicKeyId: encrypted ? null : publicIdOf(() => createPrivateKey(pem)) };
}

function publicIdOf(read: () => KeyObject): string | null {
  try {
    return keyId(createPublicKey(read()));
  } catch {
    return null;
  }
}

function describeDer(der: Uint8Array, name: string): Item {
  const key = Buffer.from(der);
  const attempts: ReadonlyArray<() => Item | null> = [
    () => certificateItem(readCertificate(der)),
    () => plain(describeRequest(der)),
    () => plain(describeCrl(der)),
    () => privateKeyFrom(() => createPrivateKey({ key, format: 'der', type: 'pkcs8' })),
    () => privateKeyFrom(() => createPrivateKey({ key, format: 'der', type: 'sec1' })),
    () => privateKeyFrom(() => createPrivateKey({ key, format: 'der', type: 'pkcs1' })),
    () => plain({ kind: 'public key', id: keyId(createPublicKey({ key, format: 'der', type: 'spki' })) }),
  ];
  for (const attempt of attempts) {
    try {
      const item = attempt();
      if (item !== null) return item;
    } catch {
      // Not that, then: the next.
    }
  }
  throw cannotInspect(name, 'is DER, but no certificate, request, revocation list or unencrypted key');
}

function privateKeyFrom(read: () => KeyObject): Item | null {
  const publicKeyId = publicIdOf(read);
  return publicKeyId === null ? null : plain({ kind: 'private key', encrypted: false, publicKeyId });
}

function cannotInspect(what: string, problem: string): CertgateError<'CG_INSPECT'> {
  return new CertgateError('CG_INSPECT', { what, problem });
}
