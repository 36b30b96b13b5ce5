// Whether a verified certificate is a client's, by its own words and stricter than OpenSSL, which lets pass what x509-limbo
// and RFC 5280 don't: a leaf that is a CA's or may sign certificates (§4.2.1.3, §4.2.1.9), one without any extended
// key usage or with the one for every purpose (§4.2.1.12), versions without extensions, name constraints in a leaf
// (§4.2.1.10), a serial number that is 0 (§4.1.2.2), a SAN that must be critical and is not, and host names and mailboxes
// that are none (§4.2.1.6). A wildcard is no client's name: OpenSSL matches it with no name constraint (the doubt of
// CVE-2025-61727). The chain above the leaf is OpenSSL's to verify; who is in the trust bundle is its owner's choice.
import { shown } from '../errors.ts';
import { isHostName } from './content.ts';
import { childrenOf, DerFault, ofTag, readBits, readBoolean, readOid, readOnly, TAG } from './der.ts';
import { readSubjectAltNames, unlessFaulty } from './facts.ts';
import type { SubjectAltName } from './names.ts';
import { type CertificateFrame, readFrame } from './structure.ts';

const CLIENT_AUTH = '1.3.6.1.5.5.7.3.2';
const ANY_PURPOSE = '2.5.29.37.0';
const AUTHORITY_ACCESS = '1.3.6.1.5.5.7.1.1';

/** Why the certificate is no client's, in words that follow "the certificate"; null when it is one. CG_CERT_UNREADABLE. */
export function clientProblemOf(der: Uint8Array): string | null {
  return unlessFaulty(() => {
    const frame = readFrame(der);
    if (frame.version !== 3) return `is of version ${frame.version}, which can't say what it is for`;
    if (isCa(frame)) return "is a CA's";
    if (signsCertificates(frame)) return 'may sign certificates or CRLs';
    const purposes = purposesOf(frame);
    if (!purposes.includes(CLIENT_AUTH)) return 'is not for clients';
    if (purposes.includes(ANY_PURPOSE)) return 'is for every purpose, not for clients alone';
    if (!hasReadableAccess(frame)) return 'says in no readable way where its issuer is';
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

/** AuthorityInfoAccessSyntax is read, and never followed (§4.2.2.1): what can't be read is no certificate of a CA that can. */
function hasReadableAccess(frame: CertificateFrame): boolean {
  const value = extensionOf(frame, AUTHORITY_ACCESS);
  if (value === undefined) return true;
  try {
    const members = childrenOf(value, readOnly(value, TAG.sequence, 'authorityInfoAccess'));
    for (const member of members) {
      const [method, location, ...rest] = childrenOf(value, ofTag(member, TAG.sequence, 'AccessDescription'));
      readOid(value, method, 'accessMethod');
      // A GeneralName: one of the context tags 0 to 8.
      if (location === undefined || rest.length > 0 || (location.tag & 0xc0) !== 0x80) return false;
    }
    return members.length > 0;
  } catch (error) {
    if (error instanceof DerFault) return false;
    throw error;
  }
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
