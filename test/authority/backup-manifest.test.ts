import { describe, expect, it } from 'vitest';
import { isBackupPath, isPublic, parseManifest } from '../../src/authority/backup-manifest.ts';
import { codeOfSync } from '../pki/fixture.ts';

const file = (path: string, values: object = {}): object => ({ path, bytes: 1, sha256: 'ab'.repeat(32), ...values });
const whole = {
  ...{ format: 'certgate-backup', version: 1, certgate: '1.2.3', madeAt: '2026-11-25T00:00:00.000Z' },
  ...{ trustDomain: 'prefect.example', store: { schema: 1, revision: 0, certificates: 0 }, crlNumbers: { aa11: 7 } },
  ...{ keys: true, leftOut: ['certs/root.key'], files: [file('state/certgate.db'), file('certs/ca.crt')] },
};
const read = (values: object) => parseManifest(JSON.stringify({ ...whole, ...values }), 'manifest.json');

describe('a manifest', () => {
  it('is read as it was written', () => {
    expect(read({})).toEqual(whole);
  });

  it.each<[string, object]>([
    ['of another program', { format: 'other' }],
    ['of a newer certgate', { version: 2 }],
    ['that does not say who made it', { certgate: undefined }],
    ['that does not say when', { madeAt: undefined }],
    ['made at no moment', { madeAt: 'yesterday' }],
    ['of no trust domain', { trustDomain: 1 }],
    ['that does not say whether it has keys', { keys: 'yes' }],
    ['that says in no list what was left out', { leftOut: 'certs/root.key' }],
    ['that left out what has no name', { leftOut: [7] }],
    ['without the store’s revision', { store: { schema: 1, certificates: 0 } }],
    ['with half a schema', { store: { ...whole.store, schema: 1.5 } }],
    ['with less than no certificates', { store: { ...whole.store, certificates: -1 } }],
    ['with a store that is a list', { store: [1, 0, 0] }],
    ['with the list of an issuer that is none', { crlNumbers: { 'issuer.crt': 7 } }],
    ['with a list’s number as text', { crlNumbers: { aa11: '7' } }],
    ['that names files in no list', { files: {} }],
    ['with a file without a name', { files: [file('state/certgate.db'), { bytes: 1, sha256: 'ab'.repeat(32) }] }],
    ['with a file without a size', { files: [file('state/certgate.db', { bytes: undefined })] }],
    ['with a file of a negative size', { files: [file('state/certgate.db', { bytes: -1 })] }],
    ['with a file without a digest', { files: [file('state/certgate.db', { sha256: undefined })] }],
    ['with a digest cut short', { files: [file('state/certgate.db', { sha256: 'ab'.repeat(31) })] }],
    ['with more than a digest', { files: [file('state/certgate.db', { sha256: 'ab'.repeat(33) })] }],
    ['with a digest in capitals', { files: [file('state/certgate.db', { sha256: 'AB'.repeat(32) })] }],
    ['that names a file twice', { files: [...whole.files, file('certs/ca.crt')] }],
    ['without a store', { files: [file('certs/ca.crt')] }],
    ['without files', { files: [] }],
  ])('%s is refused', (_what, values) => {
    expect(codeOfSync(() => read(values))).toBe('CG_BACKUP_UNUSABLE');
  });

  it.each(['', '[]', 'null', '"certgate-backup"', '{'])('is not %j', (text) => {
    expect(codeOfSync(() => parseManifest(text, 'manifest.json'))).toBe('CG_BACKUP_UNUSABLE');
  });
});

describe('a backup', () => {
  it.each([
    ...['certgate.yaml', 'state/certgate.db', 'state/audit.jsonl', 'state/audit.jsonl.2026-11-25T00-00-00.000Z'],
    ...['state/audit-2026-11-25.jsonl', 'certs/root.key', 'certs/older/issuer-1.crt', 'certs/Größe.crt'],
  ])('may hold %s', (path) => {
    expect(isBackupPath(path)).toBe(true);
  });

  it.each([
    ...['', 'certs', 'certs/', 'certs/.', 'certs/..', 'certs/a/../b', 'certs/a//b', 'certs/.ssh', 'certs/a/.b'],
    ...['certs/a\\b', 'certs/a\nb', 'certs/\ud800', 'Certs/a', 'state', 'state/certgate.db-wal', 'state/audit.lock'],
    ...[
      'state/audit.jsonl.',
      'state/audit.jsonl..',
      'state/audit.jsonl/x',
      'state/audit-../x.jsonl',
      'xstate/audit.jsonl',
    ],
    ...['/etc/passwd', '../certs/a', './certs/a', 'manifest.json'],
  ])('never holds %j', (path) => {
    expect(isBackupPath(path)).toBe(false);
  });

  const block = (label: string): string => `-----BEGIN ${label}-----\nAAAA\n-----END ${label}-----\n`;
  it.each<[string, string]>([
    ['a certificate', block('CERTIFICATE')],
    ['a chain with words before it', `subject=CN=x\n${block('CERTIFICATE').repeat(2)}`],
    ['a request', block('CERTIFICATE REQUEST')],
    ['a revocation list', block('X509 CRL')],
    ['a public key', block('PUBLIC KEY')],
  ])('without keys holds %s', (_what, text) => {
    expect(isPublic(Buffer.from(text))).toBe(true);
  });

  it.each<[string, string]>([
    ['nothing', ''],
    ['no PEM', 'secret'],
    ['a PKCS#12 file', '\x30\x82\x01\x02'],
    ['a key', block('PRIVATE KEY')],
    ['an encrypted key', block('ENCRYPTED PRIVATE KEY')],
    ['a key in an older form', block('RSA PRIVATE KEY')],
    ['a key of SSH', block('OPENSSH PRIVATE KEY')],
    ['the parameters that stand before a key', block('EC PARAMETERS')],
    ['a key behind a certificate', block('CERTIFICATE') + block('PRIVATE KEY')],
    ['a key before a certificate', block('EC PRIVATE KEY') + block('CERTIFICATE')],
    [
      'a key whose beginning was cut off, behind a certificate',
      `${block('CERTIFICATE')}AAAA\n-----END PRIVATE KEY-----\n`,
    ],
  ])('without keys never holds a file with %s', (_what, text) => {
    expect(isPublic(Buffer.from(text, 'latin1'))).toBe(false);
  });
});
