// What stands in a backup's manifest.json: which files there are, with size and SHA-256, and what the store in it says of
// itself. It shows damage and omissions; it is not signed, so it shows no forgery: whoever can write a backup could as
// well write the CA's keys in it. Pure. A path in it is believed only when it is one that a backup can have.
import { CertgateError, reasonOf } from '../errors.ts';

export interface BackupFile {
  /** Below the backup's folder: `certgate.yaml`, `certs/…`, `state/certgate.db`, `state/audit….jsonl`. */
  readonly path: string;
  readonly bytes: number;
  /** Hex. */
  readonly sha256: string;
}

export interface BackupManifest {
  readonly format: 'certgate-backup';
  readonly version: 1;
  /** The version of certgate that made it. */
  readonly certgate: string;
  /** RFC 3339, UTC. */
  readonly madeAt: string;
  readonly trustDomain: string;
  readonly store: { readonly schema: number; readonly revision: number; readonly certificates: number };
  /** Issuer key identifier to the number of its newest CRL. */
  readonly crlNumbers: Readonly<Record<string, number>>;
  /** Whether private keys are in it. */
  readonly keys: boolean;
  /** Paths in the CA's folder that are not in it. */
  readonly leftOut: readonly string[];
  readonly files: readonly BackupFile[];
}

export const MANIFEST = 'manifest.json';
export const CONFIGURATION = 'certgate.yaml';
export const STORE = 'state/certgate.db';
export const RECORD = 'state/audit.jsonl';
/** Files that the record was in before. */
const RECORD_BEFORE = /^state\/audit(?:\.jsonl\.[\w-][\w.-]*|-[\w.-]+\.jsonl)$/;
export const CERTIFICATES = 'certs';

/** Whether a private key can be in it. Whatever is not known to be public counts as private. */
export function isPublic(content: Uint8Array): boolean {
  const text = Buffer.from(content.buffer, content.byteOffset, content.length).toString('latin1');
  const labels = [...text.matchAll(/-----BEGIN ([^-]*)-----/g)].map(([, label]) => label);
  return (
    labels.length > 0 &&
    labels.every((label) => ['CERTIFICATE', 'CERTIFICATE REQUEST', 'X509 CRL', 'PUBLIC KEY'].includes(label ?? '')) &&
    !text.includes('PRIVATE KEY')
  );
}

/** The manifest in `text`, which came from the file `path`. CG_BACKUP_UNUSABLE. */
export function parseManifest(text: string, path: string): BackupManifest {
  const refuse = (problem: string, cause?: unknown): never => {
    throw new CertgateError('CG_BACKUP_UNUSABLE', { path, problem }, { cause });
  };
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    return refuse(`is not JSON: ${reasonOf(error)}`, error);
  }
  const top = fieldsOf(value);
  if (top['format'] !== 'certgate-backup') refuse('is not the manifest of a certgate backup');
  if (top['version'] !== 1)
    refuse(`is of version ${String(top['version'])}: it was made by a newer certgate; restore it with that`);
  const { certgate, madeAt, trustDomain, keys, leftOut, files } = top;
  const store = fieldsOf(top['store']);
  const numbers = Object.entries(fieldsOf(top['crlNumbers']));
  const sound =
    typeof certgate === 'string' &&
    typeof madeAt === 'string' &&
    !Number.isNaN(Date.parse(madeAt)) &&
    typeof trustDomain === 'string' &&
    typeof keys === 'boolean' &&
    Array.isArray(leftOut) &&
    leftOut.every((one) => typeof one === 'string') &&
    ['schema', 'revision', 'certificates'].every((name) => isCount(store[name])) &&
    numbers.every(([issuer, number]) => /^[0-9a-f]+$/.test(issuer) && isCount(number)) &&
    Array.isArray(files) &&
    files.every(isFile);
  if (!sound) return refuse('is damaged: a field is missing or invalid');
  const manifest = value as BackupManifest;
  const paths = manifest.files.map((file) => file.path);
  const odd = paths.find((one) => !isBackupPath(one));
  if (odd !== undefined) return refuse(`names a file that no backup has: ${JSON.stringify(odd)}`);
  if (new Set(paths).size !== paths.length) return refuse('names a file twice');
  if (!paths.includes(STORE)) return refuse(`does not name ${STORE}`);
  return manifest;
}

/** Whether a backup may hold a file of that path: nothing hidden, nothing that leads out of it. */
export function isBackupPath(path: string): boolean {
  if ([CONFIGURATION, STORE, RECORD].includes(path) || RECORD_BEFORE.test(path)) return true;
  const [folder, ...names] = path.split('/');
  return folder === CERTIFICATES && names.length > 0 && names.every(isName);
}

/** Whether a file of the CA's folder can be in a backup under its own name. */
export function isName(name: string): boolean {
  return name !== '' && !name.startsWith('.') && !/[/\\\p{Cc}]/u.test(name) && name.isWellFormed();
}

function fieldsOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : {};
}

function isFile(value: unknown): boolean {
  const { path, bytes, sha256 } = fieldsOf(value);
  return typeof path === 'string' && isCount(bytes) && typeof sha256 === 'string' && /^[0-9a-f]{64}$/.test(sha256);
}

function isCount(value: unknown): boolean {
  return Number.isSafeInteger(value) && Number(value) >= 0;
}
