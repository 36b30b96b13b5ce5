// Whether a request (RFC 2986) asks for no more than the certificate will say. A request is refused rather than cut down:
// who asked for a name and got a certificate would take it that he has the name. Names are compared character by
// character with what was granted, all of it ASCII, so that no look-alike, no NUL and no other spelling of a
// name is one; what is refused is shown escaped. It grants nothing itself.
import { CertgateError, shown } from '../errors.ts';
import { checkAddress } from './content.ts';
import { childrenOf, DerFault, readBits, readBoolean, readOid, readOnly, TAG } from './der.ts';
import type { SubjectAltName } from './names.ts';
import type { CertificateRequest } from './requests.ts';
import type { ReadExtension } from './structure.ts';

/** What the certificate will say, all of it decided by others than the requester. */
export interface Granted {
  /** `worker/etl-1`: a request may call it so, or `etl-1` for short. */
  readonly identity: string;
  readonly spiffeUri: string;
  readonly dns: readonly string[];
  readonly ip: readonly string[];
  readonly profile: 'client' | 'server';
}

const PURPOSES = { client: '1.3.6.1.5.5.7.3.2', server: '1.3.6.1.5.5.7.3.1' } as const;
const SUBJECT_ALT_NAME = '2.5.29.17';
/** A message names the first few of many. */
const MOST_NAMED = 4;

/** Returns when all that `request` asks for is granted. CG_CSR_NAME with everything that is not, CG_CSR_UNREADABLE. */
export function requireGranted(request: CertificateRequest, granted: Granted): void {
  const refused = [
    ...refusedSubject(request, granted),
    ...request.subjectAltNames.flatMap((name) => refusedName(name, granted)),
    ...request.extensions.flatMap((extension) => refusedPower(extension, granted)),
  ];
  if (refused.length === 0) return;
  const more = refused.length > MOST_NAMED ? `; and ${refused.length - MOST_NAMED} more` : '';
  throw new CertgateError('CG_CSR_NAME', {
    problem: refused.slice(0, MOST_NAMED).join('; ') + more,
    remedy: remedyFor(request, granted),
  });
}

/** `data/ci` and `ci` of service/data/ci too: what `-subj /CN=…` takes without escapes. */
function isCommonName(name: string, { identity, spiffeUri, dns }: Granted): boolean {
  const shorter = [identity.slice(identity.indexOf('/') + 1), identity.slice(identity.lastIndexOf('/') + 1)];
  return name === identity || shorter.includes(name) || name === spiffeUri || dns.includes(name);
}

function refusedSubject({ subject }: CertificateRequest, granted: Granted): string[] {
  return subject.flatMap(([attribute, value]) => {
    if (attribute !== 'CN') return [`the subject attribute ${attribute}=${shown(value)}`];
    return isCommonName(value, granted) ? [] : [`the common name ${shown(value)} (not that of ${granted.identity})`];
  });
}

function refusedName({ type, value }: SubjectAltName, granted: Granted): string[] {
  const isGranted =
    (type === 'URI' && value === granted.spiffeUri) ||
    (type === 'DNS' && granted.dns.some((name) => name.toLowerCase() === value.toLowerCase())) ||
    (type === 'IP' && granted.ip.some((address) => checkAddress(address) === value));
  return isGranted ? [] : [`the ${type === 'other' ? 'name of another type' : `${type} name`} ${shown(value)}`];
}

/** A CA, a signer of certificates, another purpose: refused. Key usages that only add to a signature are left out, unsaid. */
function refusedPower({ oid, critical, value }: ReadExtension, { profile }: Granted): string[] {
  try {
    switch (oid) {
      case SUBJECT_ALT_NAME:
        return [];
      case '2.5.29.19': {
        const [ca] = childrenOf(value, readOnly(value, TAG.sequence, 'basicConstraints'));
        const isCa = ca?.tag === TAG.boolean && readBoolean(value, ca, 'basicConstraints');
        return isCa ? ['to be a CA'] : [];
      }
      case '2.5.29.15': {
        const [bits = 0] = readBits(value, readOnly(value, TAG.bitString, 'keyUsage'), 'keyUsage').bits;
        return (bits & 0x06) === 0 ? [] : ['to sign certificates or CRLs'];
      }
      case '2.5.29.37':
        return childrenOf(value, readOnly(value, TAG.sequence, 'extendedKeyUsage'))
          .map((purpose) => readOid(value, purpose, 'extendedKeyUsage'))
          .filter((purpose) => purpose !== PURPOSES[profile])
          .map((purpose) => `the extended key usage ${purpose}`);
      default:
        return critical ? [`the critical extension ${oid}`] : [];
    }
  } catch (error) {
    if (!(error instanceof DerFault)) throw error;
    throw new CertgateError('CG_CSR_UNREADABLE', { problem: error.message }, { cause: error });
  }
}

function remedyFor({ subjectAltNames }: CertificateRequest, granted: Granted): string {
  const grantable = subjectAltNames.find(
    (name) => refusedName(name, granted).length > 0 && /^[A-Za-z0-9.:*_-]+$/.test(name.value),
  );
  const short = granted.identity.split('/').slice(1).join('\\/');
  const anew = `\`openssl req -new -key tls.key -subj '/CN=${short}' -out tls.csr\``;
  if (grantable?.type === 'DNS') return `grant it with --dns ${grantable.value}, or ask for less: ${anew}`;
  if (grantable?.type === 'IP') return `grant it with --ip ${grantable.value}, or ask for less: ${anew}`;
  return `ask for less: ${anew}`;
}
