// What `certgate export` hands over: a certificate, its chain and its key, read from a folder of `certgate issue` or from
// files, and shown to belong together before anything is written: the key is the leaf's, each certificate behind the leaf
// signed the one before, the leaf has not expired.
import type { KeyObject, X509Certificate } from 'node:crypto';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { readKeyFile } from '../authority/files.ts';
import { CertgateError, isCertgateError, shown } from '../errors.ts';
import { isIdentityName, nameInSpiffeUri } from '../identity/name.ts';
import { chainOf, isAmong } from '../pki/chain.ts';
import { readCertificate, readFacts } from '../pki/facts.ts';
import { privateKeyFromPem, publicKeyFits } from '../pki/keys.ts';
import { onOneLine } from '../pki/names.ts';
import { pemBlocks } from '../pki/pem.ts';
import { usage } from './flags.ts';
import { naming } from './named-file.ts';

export interface SourceFlags {
  readonly cert?: string;
  readonly key?: string;
  readonly ca?: string;
}

type Certificates = readonly [X509Certificate, ...X509Certificate[]];

export interface ExportSource {
  /** The identity, or the common name. */
  readonly name: string;
  /** Paths of the files that it was read from. */
  readonly files: readonly string[];
  /** For the name of the file: that of the folder or of the certificate's file. */
  readonly stem: string;
  /** Leaf and issuers, without a root: what one shows in a TLS handshake. */
  readonly sent: Certificates;
  /** The same with the root, when the files hold it. */
  readonly whole: Certificates;
  /** The distinguished name of the issuer that the files do not hold; null when the chain is whole. */
  readonly missing: string | null;
  readonly notAfter: Date;
  /** Null when it was not asked for. */
  readonly privateKey: KeyObject | null;
}

/**
 * Reads and checks. `now` is ms since the epoch.
 * @throws CG_USAGE, CG_EXPORT, CG_KEY_MISMATCH, CG_KEY_MODE, CG_KEY_UNREADABLE, CG_PEM, CG_CERT_UNREADABLE; Node's errors
 */
export async function readSource(
  dir: string | undefined,
  flags: SourceFlags,
  {
    cwd,
    now,
    withKey,
    login,
  }: {
    readonly cwd: string;
    readonly now: number;
    readonly withKey: boolean;
    /** The folder of the login of this user. */
    readonly login: string;
  },
): Promise<ExportSource> {
  const files = filesOf(dir, flags, cwd);
  const [leaf, ...behind] = readCertificates(files.cert);
  const others = files.ca === null ? behind : [...behind, ...readCertificates(files.ca)];
  const { certificates: whole, complete } = chainOf(leaf, others);
  const key = withKey ? await readKey(files, leaf, behind) : null;
  const stray = behind.find((one) => !isAmong(whole, one));
  if (stray !== undefined) {
    throw new CertgateError('CG_EXPORT', {
      what: files.cert,
      problem: `it is not a chain: ${shown(onOneLine(stray.subject))} did not sign the one before it`,
      remedy: 'the file must contain the certificate, then its issuer, and nothing else',
    });
  }
  const notAfter = leaf.validToDate;
  const name = nameOf(leaf);
  if (notAfter.getTime() <= now) {
    throw new CertgateError('CG_EXPORT', {
      what: files.cert,
      problem: `the certificate expired at ${notAfter.toISOString()}`,
      remedy:
        dir !== undefined && resolve(cwd, dir) === login
          ? 'log in again: `certgate login`'
          : `issue a new one: \`certgate issue ${/^(worker|user|service)\/[a-z0-9._/-]+$/.test(name) ? name : 'user/alice'} --force\``,
    });
  }
  const last = whole.at(-1) ?? leaf;
  return {
    name,
    files: [files.cert, files.key, files.ca].filter((file) => file !== null),
    stem: files.stem,
    whole,
    sent: complete && whole.length > 1 ? [leaf, ...whole.slice(1, -1)] : whole,
    missing: complete ? null : onOneLine(last.issuer),
    notAfter,
    privateKey: key,
  };
}

interface Files {
  readonly cert: string;
  readonly key: string | null;
  readonly ca: string | null;
  readonly stem: string;
}

function filesOf(dir: string | undefined, flags: SourceFlags, cwd: string): Files {
  const named = (flag: string | undefined): string | null => (flag === undefined ? null : resolve(cwd, flag));
  const folder = dir === undefined ? null : resolve(cwd, dir);
  if (folder !== null && statSync(folder, { throwIfNoEntry: false })?.isFile() === true)
    throw usage(`${dir} is a file, not a folder`, `name a certificate's file by --cert ${dir}, and its key by --key`);
  if (dir !== undefined && isIdentityName(dir) && !existsSync(folder ?? '')) {
    throw usage(
      `${dir} is an identity, and no folder`,
      `name its folder: certgate export ./${dir.replaceAll('/', '-')}`,
    );
  }
  const inFolder = (name: string): string | null => (folder === null ? null : join(folder, name));
  const cert = named(flags.cert) ?? inFolder('tls.crt');
  if (cert === null) {
    throw usage(
      'nothing to export',
      'name a folder that certgate issue made, e.g. certgate export ./user-alice, or files with --cert and --key',
    );
  }
  // A bundle that was not named need not be there; one that was named must.
  const bundle = inFolder('ca.crt');
  return {
    cert,
    key: named(flags.key) ?? inFolder('tls.key'),
    ca: named(flags.ca) ?? (bundle !== null && existsSync(bundle) ? bundle : null),
    stem: basename(folder ?? cert.replace(/\.(crt|pem|cer|der)$/, '')),
  };
}

function readCertificates(file: string): Certificates {
  const bytes = naming(file, () => readFileSync(file));
  try {
    const [first, ...rest] = bytes[0] === 0x30 ? [bytes] : pemBlocks(bytes.toString('latin1'), 'CERTIFICATE');
    if (first === undefined) throw new CertgateError('CG_PEM', { label: 'CERTIFICATE', problem: 'no such block' });
    return [readCertificate(first), ...rest.map((der) => readCertificate(der))];
  } catch (error) {
    if (!isCertgateError(error)) throw error;
    const remedy = "issue a new one on the CA's machine: certgate issue NAME --out DIR --force";
    throw new CertgateError('CG_EXPORT', { what: file, problem: error.message, remedy }, { cause: error });
  }
}

async function readKey(
  { cert, key }: Files,
  leaf: X509Certificate,
  behind: readonly X509Certificate[],
): Promise<KeyObject> {
  if (key === null) throw usage('no private key was named', 'name it by --key FILE');
  const text = await readKeyFile(key).catch((error: unknown) => {
    if (isCertgateError(error) || existsSync(key)) throw error;
    throw new CertgateError('CG_EXPORT', {
      what: cert,
      problem: `there is no private key at ${key}`,
      remedy: 'if the certificate was issued for a signing request, its owner has the key: name it with --key FILE',
    });
  });
  const privateKey = privateKeyFromPem(text);
  if (publicKeyFits(leaf, privateKey)) return privateKey;
  if (behind.some((one) => publicKeyFits(one, privateKey))) {
    throw new CertgateError('CG_EXPORT', {
      what: cert,
      problem: 'the certificate of the key is not the first in the file',
      remedy: 'the file must contain the certificate, then its issuer, and nothing else',
    });
  }
  throw new CertgateError('CG_KEY_MISMATCH', { subject: onOneLine(leaf.subject) });
}

/** worker/etl-1 of spiffe://DOMAIN/worker/etl-1; else the common name; else the whole subject. */
function nameOf(leaf: X509Certificate): string {
  const { subject, subjectAltNames } = readFacts(leaf.raw);
  const uri = subjectAltNames.find(({ type }) => type === 'URI')?.value;
  return (
    nameInSpiffeUri(uri ?? '') ?? subject.find(([attribute]) => attribute === 'CN')?.[1] ?? onOneLine(leaf.subject)
  );
}
