// Where the passphrase of encrypted keys comes from: the first line of a file, or a value that somebody has read already
// (an environment variable). Never an argument, which `ps` shows. A file that others than its owner could read is not
// used. What is wrong with a passphrase is said without a part of it.
import { open } from 'node:fs/promises';
import { CertgateError, fileReason, shellWord, systemCode } from '../errors.ts';

/** What OpenSSL's own programs read of a passphrase, octets. */
const LONGEST = 1023;
/** For keys that are about to be encrypted: NIST SP 800-63B §5.1.1, characters. */
const SHORTEST = 8;

/**
 * The first line of the file at `path`, without its line end, read anew each time (a pipe once).
 * `private` says whether its mode must keep everybody else out, as a key's must: false only for a folder that the
 * system itself protects (systemd's credentials, whose files carry ACLs that look like a group's right).
 */
export function passphraseFile(path: string, { private: isPrivate = true } = {}): PassphraseSource {
  // A pipe can be read once only.
  let drained: Uint8Array | null = null;
  return {
    name: `the passphrase in ${path}`,
    async read() {
      if (drained !== null) return drained;
      const { line, again } = await firstLine(path, isPrivate);
      const passphrase = usable(line, `the passphrase file ${path}`);
      if (!again) drained = passphrase;
      return passphrase;
    },
  };
}

/** A passphrase that is at hand; `name` is what it is called in messages. */
export function passphraseValue(name: string, value: string): PassphraseSource {
  return { name, read: async () => usable(Buffer.from(value, 'utf8'), name) };
}

/** `source` itself, for keys that are about to be encrypted with it: what is too short to protect anything is refused. */
export function strongEnough(source: PassphraseSource): PassphraseSource {
  return {
    name: source.name,
    async read() {
      const octets = await source.read();
      if (Array.from(Buffer.from(octets).toString('utf8')).length >= SHORTEST) return octets;
      throw new CertgateError('CG_PASSPHRASE', {
        problem: `${source.name} is shorter than ${SHORTEST} characters`,
        remedy: 'make one that nobody can guess: `(umask 077; openssl rand -base64 24 > passphrase)`',
      });
    },
  };
}

async function firstLine(path: string, isPrivate: boolean): Promise<{ line: Uint8Array; again: boolean }> {
  try {
    const file = await open(path, 'r');
    try {
      const stat = await file.stat();
      if (stat.isDirectory()) throw new CertgateError('CG_PASSPHRASE', unread(path, 'is a folder'));
      const { mode } = stat;
      if (isPrivate && (mode & 0o077) !== 0) {
        throw new CertgateError('CG_KEY_MODE', { file: path, mode: (mode & 0o777).toString(8).padStart(4, '0') });
      }
      const head = Buffer.alloc(LONGEST + 3);
      let size = 0;
      // From where it stands, not from the beginning: a pipe (`<(pass show ca)`) has no beginning.
      for (let got = -1; got !== 0 && !head.subarray(0, size).includes(0x0a); size += got) {
        got = (await file.read(head, size, head.length - size, null)).bytesRead;
      }
      const text = head.subarray(0, size);
      const end = text.indexOf(0x0a);
      const line = end === -1 ? text : text.subarray(0, end);
      return { line: line.at(-1) === 0x0d ? line.subarray(0, -1) : line, again: stat.isFile() };
    } finally {
      await file.close();
    }
  } catch (error) {
    if (error instanceof CertgateError) throw error;
    const problem = systemCode(error) === 'ENOENT' ? 'does not exist' : `cannot be read: ${fileReason(error)}`;
    throw new CertgateError('CG_PASSPHRASE', unread(path, problem), { cause: error });
  }
}

function unread(path: string, problem: string): { problem: string; remedy: string } {
  return { problem: `the passphrase file ${path} ${problem}`, remedy: `look at it with \`ls -ld ${shellWord(path)}\`` };
}

function usable(octets: Uint8Array, name: string): Uint8Array {
  const problem =
    octets.length === 0
      ? 'is empty'
      : octets.length > LONGEST
        ? `has more than ${LONGEST} octets`
        : octets.includes(0)
          ? 'has a NUL in it'
          : null;
  if (problem === null) return octets;
  throw new CertgateError('CG_PASSPHRASE', {
    problem: `${name} ${problem}`,
    remedy: 'put the passphrase into the first line, e.g. `(umask 077; openssl rand -base64 24 > passphrase)`',
  });
}

/** Where the passphrase comes from. It is asked only when a key needs it. */
export interface PassphraseSource {
  /** For messages: `the file /etc/certgate/passphrase`, `CERTGATE_PASSPHRASE`, … */
  readonly name: string;
  /** Its octets. CG_PASSPHRASE, CG_KEY_MODE. */
  read(): Promise<Uint8Array>;
}
