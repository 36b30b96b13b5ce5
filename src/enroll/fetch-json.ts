// Fetches a small JSON document from an address that the configuration names, over HTTPS: bounded in size and in time from
// the name's look-up to the last byte, no redirect is followed, no proxy is asked, and the server is verified against the
// system's authorities or against those of one file. Never called with an address that a stranger has any part in.
import { request } from 'node:https';
import { reasonOf } from '../errors.ts';

export interface JsonPlace {
  /** `https:` */
  readonly url: string;
  /** The authorities that the server is verified against (PEM); null for the system's. */
  readonly ca: string | null;
  /** A bearer token to show; null for none. */
  readonly token: string | null;
  /** What to post, as a form; a GET when left out. Then an answer with another status than 200 is one, too. */
  readonly form?: URLSearchParams;
}

/** ms, for everything. */
const PATIENCE = 5_000;
/** Bytes. */
const LONGEST = 262_144;

/** The document. Rejects with an Error that says why there is none. */
export async function fetchJson({ url, ca, token, form }: JsonPlace): Promise<unknown> {
  if (token !== null && !/^[\x21-\x7e]+$/.test(token)) throw new Error(`what is to be shown to ${url} is no token`);
  const text = await fetchText(url, ca, token, form?.toString());
  try {
    return JSON.parse(text) as unknown;
  } catch (cause) {
    throw new Error(`${url} is no JSON`, { cause });
  }
}

function fetchText(url: string, ca: string | null, token: string | null, form?: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const asked = request(url, {
      ...(ca === null ? {} : { ca }),
      agent: false,
      // Also where NODE_TLS_REJECT_UNAUTHORIZED says otherwise.
      rejectUnauthorized: true,
      method: form === undefined ? 'GET' : 'POST',
      minVersion: 'TLSv1.2',
      maxHeaderSize: 16_384,
      headers: {
        // A JWK Set has a type of its own (RFC 7517 §8.5.1), and Kubernetes' API server answers 406 to who does not name it.
        accept: 'application/json, application/jwk-set+json',
        'user-agent': 'certgate',
        ...(form === undefined
          ? {}
          : { 'content-type': 'application/x-www-form-urlencoded', 'content-length': Buffer.byteLength(form) }),
        ...(token === null ? {} : { authorization: `Bearer ${token}` }),
      },
    });
    const fail = (reason: string): void => {
      clearTimeout(timer);
      asked.destroy();
      reject(new Error(`${url}: ${reason}`));
    };
    const timer = setTimeout(() => fail(`no answer within ${PATIENCE / 1000} s`), PATIENCE);
    asked.on('error', (error) => fail(reasonOf(error)));
    asked.on('response', (answer) => {
      const { statusCode = 0, headers } = answer;
      if (statusCode !== 200 && (form === undefined || statusCode < 400 || statusCode >= 500)) {
        const to = headers.location === undefined ? '' : ', and no redirect is followed';
        fail(`status ${statusCode}${to}`);
        return;
      }
      const parts: Buffer[] = [];
      let length = 0;
      answer.on('data', (part: Buffer) => {
        parts.push(part);
        length += part.length;
        if (length > LONGEST) fail(`more than ${LONGEST} bytes`);
      });
      answer.on('error', (error) => fail(reasonOf(error)));
      answer.on('end', () => {
        if (!answer.complete) return fail('the answer was cut short');
        clearTimeout(timer);
        resolve(Buffer.concat(parts).toString('utf8'));
      });
    });
    asked.end(form);
  });
}
