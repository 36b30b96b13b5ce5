// What is published of the issuers, answered request by request: their lists, OCSP, their certificates. Over which listener,
// and to whom, is for others to say; there is nothing in it that is not public or signed. One in a gate, whatever asks it,
// so that each list is signed once.
import { publishCrls } from '../../authority/crl-publisher.ts';
import { openOcspResponder } from '../../authority/ocsp-responder.ts';
import { reasonOf } from '../../errors.ts';
import { headerValue } from '../../http1/syntax.ts';
import { limitLog } from '../../observe/limited-log.ts';
import type { Log } from '../../observe/log.ts';
import type { Issuer } from '../../pki/certificates.ts';
import type { Store } from '../../store/store.ts';
import { type Asker, answerBare, answerWith, type StatusAnswer } from './answer.ts';
import type { PlainAnswers } from './plain-listener.ts';
import { type Asked, askedFor } from './route.ts';

export interface PublishingOptions {
  /** The URL that leaves name; null for none. */
  readonly url: string | null;
  readonly store: Store;
  /** All whose certificates are asked about, now; the first is the one that issues. */
  readonly issuers: () => readonly Issuer[];
  readonly log: Log;
  /** As in CrlPublisherOptions. */
  readonly started?: Promise<void>;
  /** ms since the epoch; Date.now when left out. */
  readonly clock?: () => number;
}

export interface Publishing extends PlainAnswers {
  stop(): Promise<void>;
}

const CERTIFICATE_KEPT = 86_400_000;

/** The first list is signed when this resolves, unless it is long. CG_STORE_*, and what the issuer's signer throws. */
export async function startPublishing(options: PublishingOptions): Promise<Publishing> {
  const { url, store, issuers, log, started = Promise.resolve(), clock = Date.now } = options;
  const said = limitLog(log);
  const failed = (error: unknown): void => {
    said.say('error', 'status', { reason: reasonOf(error) }, 'a question about certificates could not be answered');
  };
  const lists = await publishCrls({ store, issuers, statusUrl: url, log, started, clock });
  const responder = openOcspResponder({ store, issuers, failed, clock });

  const answerFor = (asked: Extract<Asked, { what: 'crl' | 'issuer' }>, asker: Asker, now: number): StatusAnswer => {
    const all = issuers();
    const issuer = asked.keyId === null ? all[0] : all.find(({ keyId }) => keyId === asked.keyId);
    if (issuer === undefined) return answerBare(404, asker.close, now);
    if (asked.what === 'issuer') {
      const fresh = { thisUpdate: issuer.certificate.validFromDate.getTime(), nextUpdate: now + CERTIFICATE_KEPT };
      return answerWith({ type: 'application/pkix-cert', parts: [issuer.certificate.raw], fresh }, asker, now);
    }
    const crl = lists.crl(issuer.keyId);
    // There was one, and it has run out: the log says why there is no other.
    if (crl === null) return answerBare(503, asker.close, now, 'retry-after: 2\r\n');
    const tag = `${issuer.keyId}-${crl.number}`;
    return answerWith({ type: 'application/pkix-crl', parts: crl.parts, fresh: crl, tag }, asker, now);
  };

  return {
    failed,
    async answer(head, body, close) {
      const asked = askedFor(head.method, head.target);
      const asker: Asker = { isHead: head.method === 'HEAD', knownTag: headerValue(head, 'if-none-match'), close };
      const now = clock();
      switch (asked.what) {
        case 'nothing':
          return answerBare(asked.status, close, now);
        case 'method':
          return answerBare(405, close, now, `allow: ${asked.allow}\r\n`);
        case 'ocsp': {
          const { der, fresh } = await responder(asked.octets ?? body);
          return answerWith({ type: 'application/ocsp-response', parts: [der], fresh }, asker, now);
        }
        default:
          return answerFor(asked, asker, now);
      }
    },
    async stop() {
      await lists.stop();
      said.close();
    },
  };
}
