// A key in a PKCS#11 token (an HSM, a smart card, SoftHSM), used through OpenSC's pkcs11-tool, one child process for each
// signature: no native code in this process, and a module that crashes takes nobody with it. The PIN goes to the child
// in its environment, which only the same user can read, never as an argument. The key never leaves the token; each
// signature is verified here before it is used. The key is named by an RFC 7512 URI.
import { execFile } from 'node:child_process';
import { createHash, createPublicKey, type KeyObject, verify } from 'node:crypto';
import { CertgateError, reasonOf, shown } from '../errors.ts';
import { type Signer, signingAlgorithmOf } from '../pki/signing.ts';
import type { PassphraseSource } from './passphrase.ts';

export interface Pkcs11Key {
  /** `pkcs11:token=…;object=…`, with `id=%01` instead of or beside `object`. No `pin-value`. */
  readonly uri: string;
  /** Path of the token's library. */
  readonly module: string;
  readonly pin: PassphraseSource | null;
  /** The key's public half, of its certificate. Without it the token is asked; OpenSC 0.23 can't read P-384 there. */
  readonly publicKey?: KeyObject | undefined;
  /** The program, `pkcs11-tool` when left out. */
  readonly tool?: string;
}

const PATIENCE = 7_500;
const PIN_VARIABLE = 'CERTGATE_TOKEN_PIN';

/** DigestInfo of SHA-256 up to the digest (RFC 8017 §9.2 note 1). */
const SHA256_INFO = Buffer.from('3031300d060960864801650304020105000420', 'hex');

/**
 * Finds the key in the token and tries a signature, so that what is not that key, or may not sign, is known at once.
 * @throws CG_PKCS11; CG_PASSPHRASE and CG_KEY_MODE of the PIN's file
 */
export async function openPkcs11Key(token: Pkcs11Key): Promise<Signer> {
  const { uri, module, pin, tool = 'pkcs11-tool' } = token;
  const key = selectorOf(uri);
  const run = (args: readonly string[], input: Uint8Array, secret: Uint8Array | null): Promise<Buffer> =>
    runTool(tool, ['--module', module, ...key, ...args], input, secret, uri);
  const publicKey =
    token.publicKey ?? publicKeyIn(await run(['--read-object', '--type', 'pubkey'], new Uint8Array(), null), uri);
  const { hash } = signingAlgorithmOf(publicKey);
  const [mechanism, ...format] = mechanismOf(publicKey);
  // Read once: a wrong PIN, tried for every signature, would lock the token.
  const secret = (await pin?.read()) ?? null;
  const sign = async (content: Uint8Array): Promise<Uint8Array> => {
    const args = ['--sign', '--mechanism', mechanism, ...format];
    const login = pin === null ? [] : ['--login', '--pin', `env:${PIN_VARIABLE}`];
    const signature = await run([...login, ...args], inputFor(publicKey, hash, content), secret);
    if (verify(hash, content, publicKey, signature)) return signature;
    throw new CertgateError('CG_PKCS11', { uri, problem: 'gave what is no signature by that key' });
  };
  await sign(Buffer.from('certgate: can this key sign?'));
  return { publicKey, sign };
}

/** The parts of the URI as arguments of pkcs11-tool. CG_PKCS11. */
export function selectorOf(uri: string): readonly string[] {
  const refuse = (problem: string): never => {
    throw new CertgateError('CG_PKCS11', { uri: shown(uri.replace(/(pin-value=)[^;&?]*/g, '$1…')), problem });
  };
  if (!uri.startsWith('pkcs11:')) return refuse('is no PKCS#11 URI: write pkcs11:token=NAME;object=LABEL');
  const selector: string[] = [];
  let named = false;
  for (const part of uri.slice('pkcs11:'.length).split(';')) {
    const [, name = '', raw = ''] = /^([a-z-]+)=(.+)$/.exec(part) ?? refuse(`has a part that is none: ${shown(part)}`);
    if (/[?&]/.test(raw)) return refuse('may have no query: the PIN is in --pin-file, the library in --pkcs11-module');
    const octets = octetsOf(raw) ?? refuse(`has a broken escape in ${name}`);
    named ||= name === 'object' || name === 'id';
    if (name === 'token') selector.push('--token-label', octets.toString('utf8'));
    else if (name === 'object') selector.push('--label', octets.toString('utf8'));
    else if (name === 'id') selector.push('--id', octets.toString('hex'));
    else if (name !== 'type' || raw !== 'private')
      return refuse(`has ${name}, which is not taken: token, object and id are`);
  }
  if (!named) return refuse('names no key: add object=LABEL or id=%01');
  return selector;
}

function octetsOf(text: string): Buffer | null {
  if (/%(?![0-9A-Fa-f]{2})/.test(text)) return null;
  return Buffer.from(
    text.replaceAll(/%(..)/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16))),
    'latin1',
  );
}

function publicKeyIn(spki: Buffer, uri: string): KeyObject {
  try {
    return createPublicKey({ key: spki, format: 'der', type: 'spki' });
  } catch (cause) {
    throw new CertgateError(
      'CG_PKCS11',
      { uri, problem: `has no public key that can be read: ${reasonOf(cause)}` },
      { cause },
    );
  }
}

/** The mechanism as pkcs11-tool calls it, and the form of the signature. Ed25519 is not offered by enough tokens. */
function mechanismOf(publicKey: KeyObject): readonly [string, ...string[]] {
  if (publicKey.asymmetricKeyType === 'rsa') return ['RSA-PKCS'];
  if (publicKey.asymmetricKeyType === 'ec') return ['ECDSA', '--signature-format', 'openssl'];
  throw new CertgateError('CG_KEY_UNREADABLE', {
    problem: 'keys in a token are P-256, P-384 or RSA',
    remedy: 'make one with `pkcs11-tool --keypairgen --key-type EC:prime256v1 --label issuer`',
  });
}

/** What the token gets: the digest, for RSA as DigestInfo; tokens don't all know how to hash. */
function inputFor(publicKey: KeyObject, hash: string | null, content: Uint8Array): Uint8Array {
  const digest = createHash(hash ?? 'sha256')
    .update(content)
    .digest();
  return publicKey.asymmetricKeyType === 'rsa' ? Buffer.concat([SHA256_INFO, digest]) : digest;
}

function runTool(
  tool: string,
  args: readonly string[],
  input: Uint8Array,
  secret: Uint8Array | null,
  uri: string,
): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const { CERTGATE_PASSPHRASE: _, ...others } = process.env;
    const env = secret === null ? others : { ...others, [PIN_VARIABLE]: Buffer.from(secret).toString('utf8') };
    const options = { env, timeout: PATIENCE, maxBuffer: 65_536, encoding: 'buffer' } as const;
    const child = execFile(tool, args, options, (error, out, err) => {
      if (error === null) return resolve(out);
      const lines = err
        .toString('utf8')
        .split('\n')
        .filter((line) => /error|fail|abort|not found|invalid/i.test(line));
      const missing = 'code' in error && (error.code as unknown) === 'ENOENT';
      const words = missing ? `${tool} is not installed` : (lines[0] ?? `${tool} ended with ${String(error.code)}`);
      reject(new CertgateError('CG_PKCS11', { uri, problem: words.trim() }));
    });
    child.stdin?.on('error', () => {});
    child.stdin?.end(input);
  });
}
