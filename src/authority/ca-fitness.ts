// Whether a company's CA certificate, or an issuer that a company has signed, can stand above certgate's leaves: what could
// never have a valid leaf is refused before anything is on record (RFC 5280 §4.2.1.3, .9, .10, .12), with what to do about
// it; and what no tool in use writes, so that strict verifiers don't take it: CAs without key identifiers (§4.2.1.1, .2),
// name constraints that name nothing, keys that are known or small. What is fit, and more than it need be, is told.
import type { X509Certificate } from 'node:crypto';
import { CertgateError, isCertgateError } from '../errors.ts';
import { type CertificateDescription, describeCertificate } from '../pki/describe.ts';
import { frameOf } from '../pki/facts.ts';
import { boundKinds, constraintProblem, constraintsOf, permittedHosts } from '../pki/name-constraints.ts';
import { onOneLine } from '../pki/names.ts';
import { caKeyProblemOf } from './ca-key.ts';

/** For whom, when, and what messages call the certificate. */
export interface FitFor {
  readonly trustDomain: string;
  /** ms since the epoch */
  readonly now: number;
  /** The file that it was in. */
  readonly file: string;
}

/** What leaves are for: `serve` and its clients. A CA that names purposes must name both. */
const PURPOSES = ['serverAuth', 'clientAuth'] as const;

/** A CA above the issuer, with `below` CAs between it and leaves. CG_CA_GIVEN. */
export async function requireAbove(certificate: X509Certificate, below: number, fit: FitFor): Promise<void> {
  const name = onOneLine(certificate.subject);
  const refuse = (problem: string): never => {
    throw new CertgateError('CG_CA_GIVEN', {
      file: fit.file,
      problem: `holds ${name}, ${problem}`,
      remedy: 'use another CA of the company, or make a CA with its own root: `certgate init --dir DIR`',
    });
  };
  const { ca, keyUsage, pathlen } = described(certificate, fit);
  const subject: string | undefined = certificate.subject; // Node has none for an empty name, whatever its types say
  if (subject === undefined || subject === '')
    refuse('and a CA must have one (RFC 5280 §4.1.2.6): nothing could name it as its issuer');
  if (!ca) refuse("which is not a CA's certificate");
  if (keyUsage.length > 0 && !keyUsage.includes('keyCertSign')) {
    refuse('whose key usage does not let it sign certificates');
  }
  const room = roomProblem(pathlen, below);
  if (room !== null) refuse(room);
  const weakness = await caKeyProblemOf(certificate.publicKey);
  if (weakness !== null) refuse(`whose key is one ${weakness}`);
  requireCommon(certificate, fit, refuse);
}

/** A CA that is trusted already, when there would be `below` CAs between it and leaves. CG_CA_GIVEN. */
export function requireRoom(certificate: X509Certificate, below: number, fit: FitFor): void {
  const problem = roomProblem(described(certificate, fit).pathlen, below);
  if (problem === null) return;
  throw new CertgateError('CG_CA_GIVEN', {
    file: fit.file,
    problem: `holds an issuer below ${onOneLine(certificate.subject)}, ${problem}`,
    remedy: 'have the request signed by that CA itself, or by one that is nearer to it',
  });
}

function roomProblem(pathlen: number | null, below: number): string | null {
  if (pathlen === null || pathlen >= below) return null;
  return `whose path length ${pathlen} has no room for certgate's issuer`;
}

/** The issuer itself. CG_CA_GIVEN. */
export function requireIssuer(certificate: X509Certificate, fit: FitFor): void {
  const { file } = fit;
  const refuse = (problem: string): never => {
    throw new CertgateError('CG_CA_GIVEN', { file, problem, remedy: signedAgain(fit) });
  };
  // Node calls no CA what may not sign certificates either.
  const { ca, keyUsage, pathlen } = described(certificate, fit);
  if (!ca) refuse('contains a certificate for that key that is not a CA certificate: it could sign nothing');
  if (!keyUsage.includes('keyCertSign') || !keyUsage.includes('cRLSign')) {
    refuse(`lets the issuer do ${keyUsage.join(', ') || 'nothing'}: it needs keyCertSign and cRLSign`);
  }
  if (pathlen !== 0) {
    const problem = pathlen === null ? 'has no path length' : `has path length ${pathlen}`;
    refuse(`holds an issuer that ${problem}: it must be 0, so that it can make no further CA`);
  }
  requireCommon(certificate, fit, (problem) => refuse(`holds an issuer ${problem}`));
}

/** What is fit and could be narrower, or binds what else leaves are called; for people, one sentence each. */
export function warningsAbout(certificate: X509Certificate, { trustDomain }: FitFor): readonly string[] {
  const constraints = constraintsOf(certificate);
  if (constraints === null || permittedHosts(constraints).length === 0) {
    return [
      `the issuer is not constrained to spiffe://${trustDomain}: other software that trusts its root takes what it signs for any name; next time have it signed with nameConstraints=permitted;URI:${trustDomain}`,
    ];
  }
  return boundKinds(constraints).map(
    (kind) =>
      `the issuer is constrained to some ${kind === 'DNS' ? 'DNS names' : 'addresses'}: those of the gate (serve.names) and of leaves must be among them`,
  );
}

function requireCommon(
  certificate: X509Certificate,
  { trustDomain, now }: FitFor,
  refuse: (why: string) => void,
): void {
  const { extendedKeyUsage, signatureAlgorithm, subjectKeyId, authorityKeyId } = describeCertificate(certificate);
  if (subjectKeyId === null) refuse('that has no subject key identifier, which every CA must have (RFC 5280 §4.2.1.2)');
  if (authorityKeyId === null && (hasExtension(certificate, '2.5.29.35') || !certificate.checkIssued(certificate))) {
    refuse('whose authority key identifier, which only a root may leave out, names no key (RFC 5280 §4.2.1.1)');
  }
  const missing = PURPOSES.filter((purpose) => !extendedKeyUsage.includes(purpose));
  // OpenSSL does not take anyExtendedKeyUsage for either.
  if (extendedKeyUsage.length > 0 && missing.length > 0) {
    refuse(`whose purposes (${extendedKeyUsage.join(', ')}) leave out ${missing.join(' and ')}: no leaf could be used`);
  }
  const constraints = constraintsOf(certificate);
  if (constraints !== null && constraints.permitted.length + constraints.excluded.length === 0) {
    refuse('whose name constraints name nothing, which verifiers read in different ways (RFC 5280 §4.2.1.10)');
  }
  const bound = constraints === null ? null : constraintProblem(constraints, trustDomain);
  if (bound !== null) refuse(`whose name constraints let no leaf of this CA pass: it ${bound}`);
  if (/sha1|md5/i.test(signatureAlgorithm) && !certificate.checkIssued(certificate)) {
    refuse(`that is signed with ${signatureAlgorithm}, which nobody accepts any more`);
  }
  if (now < certificate.validFromDate.getTime() || now >= certificate.validToDate.getTime()) {
    refuse(`valid from ${certificate.validFrom} to ${certificate.validTo} only`);
  }
}

function hasExtension(certificate: X509Certificate, oid: string): boolean {
  return frameOf(certificate).extensions.some((one) => one.oid === oid);
}

function described(certificate: X509Certificate, { file }: FitFor): CertificateDescription {
  try {
    const read = describeCertificate(certificate);
    constraintsOf(certificate);
    return read;
  } catch (error) {
    if (!isCertgateError(error)) throw error;
    throw new CertgateError('CG_CA_GIVEN', { file, problem: `cannot be read: ${error.message}` }, { cause: error });
  }
}

/** What a company signs the request with: made by a command, so that nothing of it is to be typed. */
function signedAgain({ trustDomain }: FitFor): string {
  const lines = [
    'basicConstraints=critical,CA:TRUE,pathlen:0',
    'keyUsage=critical,digitalSignature,keyCertSign,cRLSign',
    'subjectKeyIdentifier=hash',
    'authorityKeyIdentifier=keyid',
    `nameConstraints=permitted;URI:${trustDomain}`,
  ];
  return `have the request signed again with the extensions that this writes: \`printf '%s\\n' ${lines.map((line) => `'${line}'`).join(' ')} > issuer.ext\``;
}
