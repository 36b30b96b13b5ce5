// Records to an OpenTelemetry collector by OTLP/HTTP, JSON. Sent is what it has answered with 2xx; what of that it won't take
// (partialSuccess) is told, and not sent again, as the specification has it. 429, 502, 503, 504 and no answer: again, when
// Retry-After says or by backoff. Any other answer is a refusal.
import { request as requestHttp } from 'node:http';
import { request as requestHttps } from 'node:https';
import { hostname } from 'node:os';
import { reasonOf } from '../../errors.ts';
import type { Sender, Sent } from '../../observe/export-entry.ts';
import { otlpLogs } from '../../observe/otlp-logs.ts';
import type { CollectorTls } from './collector-tls.ts';

const AGAIN = [429, 502, 503, 504];
const PATIENCE = 30_000;
const LONGEST_ANSWER = 64 * 1024;
/** The longest that a Retry-After is heeded, ms. */
const LONGEST_WAIT = 300_000;

export interface OtlpPlace {
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  readonly tls: CollectorTls;
}

export function otlpSender({ url, headers, tls }: OtlpPlace): Sender {
  const resource = { 'service.name': 'certgate', 'host.name': hostname() };
  const secure = url.protocol === 'https:';

  function post(body: Buffer): Promise<Sent> {
    return new Promise((resolve) => {
      const later = (error: unknown): void => resolve({ kind: 'later', reason: reasonOf(error) });
      const options = {
        method: 'POST',
        headers: { ...headers, 'content-type': 'application/json', 'content-length': body.length },
        signal: AbortSignal.timeout(PATIENCE),
        ...(secure ? tls : {}),
      };
      const request = (secure ? requestHttps : requestHttp)(url, options, (response) => {
        let text = '';
        response.setEncoding('utf8');
        response.on('data', (part: string) => {
          if (text.length < LONGEST_ANSWER) text += part;
        });
        response.on('error', later);
        response.on('end', () => resolve(answered(response.statusCode ?? 0, response.headers['retry-after'], text)));
      });
      request.on('error', later);
      request.end(body);
    });
  }

  return { send: (batch) => post(Buffer.from(JSON.stringify(otlpLogs(batch, resource, Date.now())))), close: () => {} };
}

function answered(status: number, retryAfter: string | undefined, text: string): Sent {
  if (status >= 200 && status < 300) {
    const partial = partialWords(text);
    return partial === null ? { kind: 'sent' } : { kind: 'sent', partial };
  }
  const reason = `it answers ${status}${text === '' ? '' : `: ${text.slice(0, 200)}`}`;
  if (!AGAIN.includes(status)) return { kind: 'refused', reason };
  const after = waitOf(retryAfter);
  return after === null ? { kind: 'later', reason } : { kind: 'later', reason, after };
}

/** RFC 9110, 10.2.3: seconds, or a date. ms. */
function waitOf(text: string | undefined): number | null {
  if (text === undefined) return null;
  const ms = /^\d{1,9}$/.test(text) ? Number(text) * 1000 : Date.parse(text) - Date.now();
  return Number.isNaN(ms) ? null : Math.min(Math.max(ms, 0), LONGEST_WAIT);
}

function partialWords(text: string): string | null {
  try {
    const { partialSuccess } = JSON.parse(text) as {
      partialSuccess?: { rejectedLogRecords?: unknown; errorMessage?: unknown };
    };
    const rejected = Number(partialSuccess?.rejectedLogRecords ?? 0);
    const words = typeof partialSuccess?.errorMessage === 'string' ? partialSuccess.errorMessage : '';
    return rejected > 0 || words !== '' ? `${rejected} records rejected${words === '' ? '' : `: ${words}`}` : null;
  } catch {
    return null;
  }
}
