// What somebody enrols with: a one-time token, which knows its gate and that gate's CA, or an identity token (JWT), to which
// both must be said. In either case the gate is verified before it is told anything.
import { createHash, type KeyObject } from 'node:crypto';
import { covers, credentialOf, type Token } from './token.ts';
import type { EnrollCredential } from './wire.ts';

/** By what the gate is known. */
export type Pin =
  /** SHA-256 of the root's DER, hex. */
  | { readonly fingerprint: string }
  /** The trust bundle, PEM. */
  | { readonly ca: string };

export interface Credential {
  /** The gate that it is for. */
  readonly gate: URL;
  readonly pin: Pin;
  /** Names it among the keys that wait for a certificate. */
  readonly id: string;
  /** What is shown to the gate, read anew at each try. `key` is the one to be certified. */
  present(key: KeyObject): Promise<EnrollCredential>;
  /** Whether a certificate of that name is what it is good for. */
  covers(identity: string): boolean;
}

export function tokenCredential(token: Token): Credential {
  return {
    gate: new URL(token.gate),
    pin: { fingerprint: token.rootFingerprint },
    id: token.id,
    present: async () => ({ token: credentialOf(token) }),
    covers: (identity) => covers(token.subject, identity),
  };
}

/** `read` gets the token; the gate's rules say whom it names. */
export function identityTokenCredential(read: (key: KeyObject) => Promise<string>, gate: URL, pin: Pin): Credential {
  // The same for one gate: whoever was killed half-way goes on with the same key, though the token is another by then.
  const id = `identity-token-${createHash('sha256').update(gate.origin).digest('hex').slice(0, 8)}`;
  return {
    ...{ gate, pin, id },
    present: async (key) => ({ identityToken: await read(key) }),
    covers: () => true,
  };
}
