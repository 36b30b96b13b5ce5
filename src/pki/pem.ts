// The textual form of RFC 7468, read strictly: base64 of whole lines and nothing else between BEGIN and END. Text
// outside the blocks (as `openssl x509 -text` writes it) is let pass; a block that is cut short is not. Never used for
// private keys in the clear: those Node reads itself (keys.ts).
import { CertgateError } from '../errors.ts';

/** The labels certgate writes and reads. */
export type PemLabel =
  | 'CERTIFICATE'
  | 'CERTIFICATE REQUEST'
  | 'X509 CRL'
  | 'PUBLIC KEY'
  | 'ENCRYPTED PRIVATE KEY'
  | 'PKCS7';

/** Larger text is not looked at: a CRL of 200,000 entries is below it. */
const MOST_CHARACTERS = 16 * 1024 * 1024;
const LINE = /^-----(BEGIN|END) ([A-Z0-9 ]+)-----$/;

/** DER as one PEM block, 64 characters a line, ending with a line feed. */
export function derToPem(der: Uint8Array, label: PemLabel): string {
  const base64 = Buffer.from(der.buffer, der.byteOffset, der.length).toString('base64');
  let pem = `-----BEGIN ${label}-----\n`;
  for (let at = 0; at < base64.length; at += 64) pem += `${base64.slice(at, at + 64)}\n`;
  return `${pem}-----END ${label}-----\n`;
}

/** The DER of the only block with that label (other blocks are passed over). CG_PEM when there is none, or two. */
export function pemToDer(pem: string, label: PemLabel): Uint8Array {
  const [first, second] = pemBlocks(pem, label);
  if (first === undefined || second !== undefined) throw unusable(label, 'more than one block where one was expected');
  return first;
}

/** The DER of every block with that label, in order, at least one. CG_PEM. */
export function pemBlocks(pem: string, label: PemLabel): readonly Uint8Array[] {
  if (pem.length > MOST_CHARACTERS) throw unusable(label, `larger than ${MOST_CHARACTERS} characters`);
  const blocks: Uint8Array[] = [];
  let open: string | null = null;
  let lines: string[] = [];
  for (const raw of pem.split('\n')) {
    const line = raw.trim();
    const [, edge, name] = line.startsWith('-----') ? (LINE.exec(line) ?? []) : [];
    if (edge === undefined) {
      if (open !== null && line !== '') lines.push(line);
      continue;
    }
    if ((edge === 'BEGIN') !== (open === null) || (edge === 'END' && name !== open)) {
      throw unusable(label, `-----${edge} ${name}----- out of place`);
    }
    if (edge === 'END' && open === label) blocks.push(decode(lines.join(''), label));
    open = edge === 'BEGIN' ? (name ?? null) : null;
    lines = [];
  }
  if (open !== null) throw unusable(label, `-----BEGIN ${open}----- has no end`);
  if (blocks.length === 0) throw unusable(label, 'no such block');
  return blocks;
}

/** The DER of what a file held: bytes that begin as DER does are taken as they are, everything else as PEM. CG_PEM. */
export function derOf(pemOrDer: string | Uint8Array, label: PemLabel): Uint8Array {
  if (typeof pemOrDer === 'string') return pemToDer(pemOrDer, label);
  if (pemOrDer[0] === 0x30) return pemOrDer;
  return pemToDer(Buffer.from(pemOrDer.buffer, pemOrDer.byteOffset, pemOrDer.length).toString('latin1'), label);
}

/** Buffer.from() passes over what is not base64 and stops at padding: the way back shows it. */
function decode(base64: string, label: PemLabel): Uint8Array {
  const der = Buffer.from(base64, 'base64');
  if (der.length === 0 || der.toString('base64') !== base64) throw unusable(label, 'its text is not base64');
  return der;
}

function unusable(label: PemLabel, problem: string): CertgateError {
  return new CertgateError('CG_PEM', { label, problem });
}
