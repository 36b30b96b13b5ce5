// The issuer's key in another process: `certgate signer` on a unix socket, spoken to as docs/signer.md says (HTTP/1.1:
// POST /v1/sign/KEY with what is to be signed, the signature back). The key never enters this process. Nothing that
// the other side says is believed: each signature is verified with the certificate's public key before anybody gets it,
// answers are bounded in size and time. A signer that restarts is waited for a moment; one that is gone is CG_SIGNER.
import { createHash, type KeyObject } from 'node:crypto';
import { once } from 'node:events';
import type { Agent, ClientRequest } from 'node:http';
import { basename } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { CertgateError, reasonOf, shown, systemCode } from '../errors.ts';
import { spkiOf } from '../pki/public-keys.ts';
import { type Content, contentIn, isSignatureOver, type Signer, signingAlgorithmOf } from '../pki/signing.ts';
import type { KeyStore } from './key-store.ts';

// Not imported: an import reads every export of node:http, and its WebSocket loads all of undici: 23 ms and 6 MB more.
const http = process.getBuiltinModule('node:http');

/** From the question to the last octet of the answer, ms. */
const PATIENCE = 10_000;
/** How long a signer that is not there is looked for, each wait in ms. */
const WAITS: readonly number[] = [50, 200, 500, 1_000];
/** A signature of RSA-8192 has 1024 octets; a refusal is a sentence. */
const MOST_ANSWER = 8_192;

export interface AskOptions {
  /** Keeps connections; without it each question has its own. */
  readonly agent?: Agent;
  /** From a question to the last octet of its answer, ms. */
  readonly patience?: number;
}

/** By what name a signer knows a key: SHA-256 of its SubjectPublicKeyInfo, lower-case hex. */
export function signerKeyId(publicKey: KeyObject): string {
  return createHash('sha256').update(spkiOf(publicKey)).digest('hex');
}

/**
 * `files`, but the issuers' keys (issuer.key, issuer-2.key, …) are behind the signer at the socket `path`: their files
 * are never read, and never written (CG_SIGNER_KEY).
 */
export function signedElsewhere(path: string, files: KeyStore): KeyStore {
  const agent = new http.Agent({ keepAlive: true, maxSockets: 8 });
  return {
    read: (file) => files.read(file),
    async signerFor(certificate, file, name) {
      return isIssuerKey(file)
        ? remoteSigner(path, certificate.publicKey, { agent })
        : files.signerFor(certificate, file, name);
    },
    async write(file, key) {
      if (!isIssuerKey(file)) return files.write(file, key);
      throw new CertgateError('CG_SIGNER_KEY', {
        signer: path,
        problem: "keeps the issuers' keys: a new one is not made here while ca.signer is set",
        remedy:
          'add --key-here to the command, e.g. `certgate ca rotate issuer --key-here`, and take the key to the signer at once: docs/signer.md, "A new issuer"',
      });
    },
  };
}

const isIssuerKey = (file: string): boolean => /^issuer(-\d+)?\.key$/.test(basename(file));

/** Signs with the key of `publicKey` that the signer at the socket `path` has. CG_SIGNER, CG_SIGNER_KEY, CG_SIGNER_REFUSED. */
export function remoteSigner(path: string, publicKey: KeyObject, options: AskOptions = {}): Signer {
  signingAlgorithmOf(publicKey);
  const id = signerKeyId(publicKey);
  const signParts = async (content: Content): Promise<Uint8Array> => {
    const signature = await askUntilThere(path, id, content, options);
    if (await isSignatureOver(content, publicKey, signature)) return signature;
    throw new CertgateError('CG_SIGNER', { signer: path, problem: 'answered with what is no signature by that key' });
  };
  return { publicKey, sign: (content) => signParts(contentIn(content)), signParts };
}

async function askUntilThere(path: string, id: string, content: Content, options: AskOptions): Promise<Uint8Array> {
  for (const wait of [...WAITS, null]) {
    try {
      return await ask(path, id, content, options);
    } catch (error) {
      if (error instanceof CertgateError) throw error;
      // To be signed twice does no harm: it is the same certificate.
      const isGone = ['ENOENT', 'ECONNREFUSED', 'ECONNRESET', 'EPIPE', 'EAGAIN'].includes(systemCode(error));
      if (isGone && wait !== null) await sleep(wait);
      else {
        const problem = isGone ? `cannot be reached: ${reasonOf(error)}` : `failed: ${reasonOf(error)}`;
        throw new CertgateError('CG_SIGNER', { signer: path, problem }, { cause: error });
      }
    }
  }
  throw new TypeError('unreachable');
}

/** The system's errors when there is no answer; those of the catalogue for an answer that is no signature. */
function ask(path: string, id: string, content: Content, options: AskOptions): Promise<Uint8Array> {
  const { agent, patience = PATIENCE } = options;
  return new Promise((resolve, reject) => {
    const late = new Error(`no answer within ${patience} ms`);
    const question = http.request({
      socketPath: path,
      method: 'POST',
      path: `/v1/sign/${id}`,
      headers: { 'content-type': 'application/octet-stream', 'content-length': content.length },
      maxHeaderSize: 4_096,
      ...(agent === undefined ? { agent: false } : { agent }),
    });
    const timer = setTimeout(() => question.destroy(late), patience);
    const end = (act: () => void): void => {
      clearTimeout(timer);
      act();
    };
    question.once('error', (error) => end(() => reject(error)));
    question.once('response', (response) => {
      const parts: Buffer[] = [];
      let size = 0;
      response.on('data', (part: Buffer) => {
        size += part.length;
        parts.push(part);
        if (size > MOST_ANSWER) question.destroy(new Error(`an answer of more than ${MOST_ANSWER} octets`));
      });
      response.once('error', (error) => end(() => reject(error)));
      response.once('end', () =>
        end(() => {
          const body = Buffer.concat(parts);
          if (response.statusCode === 200) resolve(body);
          else reject(refusal(path, response.statusCode ?? 0, body.toString('utf8')));
        }),
      );
    });
    write(question, content).catch((error: unknown) => question.destroy(error instanceof Error ? error : undefined));
  });
}

/** Part by part, each when there is room; a question that is over takes no more, and says why itself. */
async function write(question: ClientRequest, content: Content): Promise<void> {
  for await (const part of content) {
    if (question.destroyed || question.writableEnded) return;
    if (!question.write(part)) await once(question, 'drain');
  }
  question.end();
}

function refusal(path: string, status: number, body: string): CertgateError {
  const detail = detailIn(body);
  if (status === 403) return new CertgateError('CG_SIGNER_REFUSED', { problem: detail });
  if (status === 404)
    return new CertgateError('CG_SIGNER_KEY', { signer: path, problem: `has not that key: ${detail}` });
  return new CertgateError('CG_SIGNER', { signer: path, problem: `answered ${status}: ${detail}` });
}

function detailIn(body: string): string {
  try {
    const read: unknown = JSON.parse(body);
    if (typeof read === 'object' && read !== null && 'detail' in read && typeof read.detail === 'string') {
      return shown(read.detail);
    }
  } catch {
    // What is no JSON is shown as it is.
  }
  return shown(body);
}
