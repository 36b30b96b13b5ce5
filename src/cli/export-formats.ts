// The forms that `certgate export` writes: what each holds, how its file is called, and the octets. PKCS#12 is loaded when
// it is the one.
import type { KeyObject } from 'node:crypto';
import { CertgateError } from '../errors.ts';
import { derToPem } from '../pki/certificates.ts';
import { writeJwk } from '../pki/jwk.ts';
import { privateKeyToPem } from '../pki/keys.ts';
import { writePkcs7 } from '../pki/pkcs7.ts';
import type { ExportSource } from './export-source.ts';

export const formats = ['p12', 'pem', 'der', 'der-key', 'p7b', 'p7b-der', 'jwk'] as const;
export type Format = (typeof formats)[number];

/** The ending of a file's name. */
export const endings: Readonly<Record<Format, string>> = {
  p12: '.p12',
  pem: '.pem',
  der: '.der',
  'der-key': '.key.der',
  p7b: '.p7b',
  'p7b-der': '.p7b',
  jwk: '.jwk',
};

export interface Wanted {
  readonly format: Format;
  /** A JWK without its private members. */
  readonly publicOnly: boolean;
  /** For a PKCS#12 file. */
  readonly pkcs12: { readonly legacy: boolean; readonly friendlyName: string; readonly password: string } | null;
}

/** Whether a file of that form holds the private key. */
export function holdsKey({ format, publicOnly }: Pick<Wanted, 'format' | 'publicOnly'>): boolean {
  return format === 'p12' || format === 'pem' || format === 'der-key' || (format === 'jwk' && !publicOnly);
}

/** Which certificates go into a file of that form: the whole chain where it is imported, without the root where it is shown. */
export function certificatesIn(source: ExportSource, format: Format): ExportSource['whole'] | readonly [] {
  switch (format) {
    case 'p12':
    case 'p7b':
    case 'p7b-der':
      return source.whole;
    case 'der':
      return [source.whole[0]];
    case 'der-key':
      return [];
    default:
      return source.sent;
  }
}

/** The file's octets. */
export async function encodeExport(source: ExportSource, { format, publicOnly, pkcs12 }: Wanted): Promise<Uint8Array> {
  const [leaf] = source.whole;
  switch (format) {
    case 'p12': {
      const { writePkcs12 } = await import('../pki/pkcs12.ts');
      const { legacy, friendlyName, password } = pkcs12 ?? { legacy: false, friendlyName: '', password: '' };
      const contents = { privateKey: keyOf(source), chain: source.whole, friendlyName, password };
      return writePkcs12(contents, legacy ? 'legacy' : 'modern');
    }
    case 'pem':
      return Buffer.from(
        privateKeyToPem(keyOf(source)) + source.sent.map(({ raw }) => derToPem(raw, 'CERTIFICATE')).join(''),
      );
    case 'der':
      return leaf.raw;
    case 'der-key':
      return keyOf(source).export({ type: 'pkcs8', format: 'der' });
    case 'p7b':
      return Buffer.from(derToPem(writePkcs7(source.whole), 'PKCS7'));
    case 'p7b-der':
      return writePkcs7(source.whole);
    default: {
      const key = publicOnly ? leaf.publicKey : keyOf(source);
      return Buffer.from(`${JSON.stringify(writeJwk(key, source.sent), null, 2)}\n`);
    }
  }
}

function keyOf({ privateKey }: ExportSource): KeyObject {
  if (privateKey === null) throw new CertgateError('CG_INTERNAL', { problem: 'the key to export was not read' });
  return privateKey;
}
