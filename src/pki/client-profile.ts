// Whether a verified certificate is a client's, by its own words and stricter than OpenSSL, which lets pass what x509-limbo
// and RFC 5280 don't: a leaf that is a CA's or may sign certificates (§4.2.1.3, §4.2.1.9), one without any extended
// key usage (§4.2.1.12: it would be for every purpose), versions without extensions, name constraints in a leaf
// (§4.2.1.10), a serial number that is 0 (§4.1.2.2), a SAN that must be critical and is not, and host names and mailboxes
// that are none (§4.2.1.6). A wildcard is no client's name: OpenSSL matches it with no name constraint (the doubt of
// CVE-2025-61727). The chain above the leaf is OpenSSL's to verify; who is in the trust bundle is its owner's choice.
import { shown } from '../errors.ts';
import { isHostName } from './content.ts';
import { childrenOf, readBits, readBoolean, readOid, readOnly, TAG } from './der.ts';
import { readSubjectAltNames, unlessFaulty } from './facts.ts';
import type { SubjectAltName } from './names.ts';
import { type CertificateFrame, readFrame } from './structure.ts';

const CLIENT_AUTH = '1.3.6.1.5.5.7.3.2';

/** Why the certificate is no client's, in words that follow "the certificate"; null when it is one. CG_CERT_UNREADABLE. */
export function clientProblemOf(der: Uint8Array): string | null {
  return unlessFaulty(() => {
    const frame = readFrame(der);
    if (frame.version !== 3) return `is of version ${frame.version}, which can't say what it is for`;
    if (isCa(frame)) return "is a CA's";
    if (signsCertificates(frame)) return 'may sign certificates or CRLs';
    if (!purposesOf(frame).includes(CLIENT_AUTH)) return 'is not for clients';
    if (extensionOf(frame, '2.5.29.30') !== undefined) return "has name constraints, which only a CA's may have";
    if (frame.serial === '00') return 'has the serial number 0';
    const isNameless = frame.subject.start === frame.subject.end;
    const san = frame.extensions.find(({ oid }) => oid === '2.5.29.17');
    if (isNameless && san?.critical !== true) return 'has an empty subject, and no critical SAN in its place';
    const odd = readSubjectAltNames(frame.extensions).find((name) => !isWellFormed(name));
    return odd === undefined ? null : `has the ${odd.type} name ${shown(odd.value)}, which is none`;
  });
}

function isWellFormed({ type, value }: SubjectAltName): boolean {
  if (type === 'DNS') return isHostName(value);
  if (type !== 'email') return true;
  const [local = '', host = '', ...rest] = value.split('@');
  return /^[^\s@]+$/.test(local) && rest.length === 0 && isHostName(host);
}

function extensionOf(frame: CertificateFrame, sought: string): Uint8Array | undefined {
  return frame.extensions.find(({ oid }) => oid === sought)?.value;
}

function isCa(frame: CertificateFrame): boolean {
  const value = extensionOf(frame, '2.5.29.19');
  if (value === undefined) return false;
  const [ca] = childrenOf(value, readOnly(value, TAG.sequence, 'basicConstraints'));
  return ca?.tag === TAG.boolean && readBoolean(value, ca, 'cA');
}

/** keyCertSign and cRLSign are bits 5 and 6. */
function signsCertificates(frame: CertificateFrame): boolean {
  const value = extensionOf(frame, '2.5.29.15');
  if (value === undefined) return false;
  const [octet = 0] = readBits(value, readOnly(value, TAG.bitString, 'keyUsage'), 'keyUsage').bits;
  return (octet & 0x06) !== 0;
}

function purposesOf(frame: CertificateFrame): readonly string[] {
  const value = extensionOf(frame, '2.5.29.37');
  if (value === undefined) return [];
  return childrenOf(value, readOnly(value, TAG.sequence, 'extKeyUsage')).map((member) =>
    readOid(value, member, 'extKeyUsage'),
  );
}
