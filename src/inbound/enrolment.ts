// What the gate answers to who wants a certificate of it: strangers in the anteroom, and clients that renew over their own
// connection. The desk, which issues, may be in another process; here is only who may ask it for what.

import type { TLSSocket } from 'node:tls';
import { answerWith, type DeskAnswer } from '../enroll/answers.ts';
import type { EnrollDesk } from '../enroll/contract.ts';
import { BUNDLE_PATH, ENROLL_PATH, LOGIN_PATH, MOST_REQUEST_BYTES, RENEW_PATH, writeLogin } from '../enroll/wire.ts';
import type { RequestHead } from '../http1/request-head.ts';
import type { Answer, Take } from '../proxy/contract.ts';
import { type AdmissionRules, admitLate, type Refused } from './admission.ts';
import { type AnteroomAnswer, type AnteroomRequest, receive, requestLine } from './anteroom.ts';
import { bundleContent } from './bundle.ts';
import type { Refusing } from './decision-record.ts';
import { addressKey } from './door-counts.ts';
import { type EstParts, estRequests } from './est.ts';
import { heldBack } from './held-back.ts';
import type { ClientTrust } from './server-certificate.ts';

const JSON_TYPE = 'application/json';
/** Waiting helps; as Prefect's clients are told, too. */
const WAIT = 'retry-after: 2\r\n';

export interface EnrolmentParts extends EstParts {
  readonly admission: AdmissionRules;
}

/**
 * Takes a connection that was refused for `why` when there is something that it may ask for nevertheless; `refuse` refuses it
 * after all. False when there is nothing.
 */
export async function receiveStranger(
  socket: TLSSocket,
  address: string,
  why: Refused,
  parts: EnrolmentParts,
  refuse: () => void,
): Promise<boolean> {
  const requests = await strangersRequests(socket, address, why, parts);
  if (requests === null || requests.length === 0 || socket.destroyed) return false;
  receive(socket, requests, refuse);
  return true;
}

/** What a connection that was refused for `why` may ask for nevertheless; null for one that is refused whatever it asks. */
export async function strangersRequests(
  socket: TLSSocket,
  address: string,
  why: Refused,
  parts: EnrolmentParts,
): Promise<readonly AnteroomRequest[] | null> {
  const { desk, policy, admission, trust } = parts;
  if (why.code === 'CG_CLIENT_NO_CERTIFICATE') {
    const from = { address, addressKey: addressKey(address) };
    if (!takesStrangers(policy)) return [];
    return [
      posted(ENROLL_PATH, (body) => desk.enroll(body, from)),
      // Public, and believed only by whoever knows the fingerprint of a root in it.
      bundleRequest(trust),
      ...estRequests({ ...from, serial: null }, parts),
      ...loginRequests(policy),
    ];
  }
  if (why.code === 'CG_CLIENT_EXPIRED' && policy.graceMs > 0) {
    const late = await admitLate(socket, admission, policy.graceMs);
    if (late.ok) return holdersRequests({ serial: late.serial, address }, parts);
  }
  return null;
}

/** What the holder of a certificate may ask in the anteroom. */
export function holdersRequests(
  holder: { readonly serial: string; readonly address: string },
  parts: EstParts,
): readonly AnteroomRequest[] {
  const renewal = posted(RENEW_PATH, (body) => parts.desk.renew(body, holder));
  return [
    {
      ...renewal,
      visit(head) {
        const barred = heldBack(head);
        if (barred === null) return renewal.visit(head);
        parts.log.say('warn', barred.code, { ...holder, ...barred }, 'renewal refused');
        return json(answerWith(403, barred.detail));
      },
    },
    bundleRequest(parts.trust),
    ...estRequests({ ...holder, addressKey: addressKey(holder.address) }, parts),
  ];
}

/** Why a request to RENEW_PATH is none that may be answered. */
export function renewalProblem(head: RequestHead): Refusing | null {
  if (head.method !== 'POST' || head.upgrade !== null) {
    const why = { code: 'CG_REQUEST_TARGET', detail: `${RENEW_PATH} takes POST`, extra: 'allow: POST\r\n' };
    return { ...why, status: 405, close: true };
  }
  const barred = heldBack(head);
  return barred === null ? null : { status: 403, ...barred, close: true };
}

/** What an admitted client's POST to RENEW_PATH comes to. */
export function takeRenewal(desk: EnrollDesk, holder: { readonly serial: string; readonly address: string }): Take {
  return {
    kind: 'take',
    most: MOST_REQUEST_BYTES,
    answer: async (body): Promise<Answer> => {
      const { status, text } = await desk.renew(body.toString('utf8'), holder);
      const extra = status === 200 || status === 400 || status === 403 ? '' : WAIT;
      return {
        kind: 'answer',
        status,
        detail: '',
        body: { type: JSON_TYPE, text },
        extra,
        close: false,
        recorded: null,
      };
    },
  };
}

function bundleRequest(trust: () => ClientTrust): AnteroomRequest {
  return { begins: requestLine('GET', BUNDLE_PATH), visit: () => ({ status: 200, ...bundleContent(trust()) }) };
}

/** A POST with JSON to the desk. */
function posted(path: string, ask: (body: string) => Promise<DeskAnswer>): AnteroomRequest {
  const answer = async (body: Buffer) => json(await ask(body.toString('utf8')));
  return { begins: requestLine('POST', path), visit: () => ({ most: MOST_REQUEST_BYTES, answer }) };
}

/** Public: whoever believes it has verified the gate. */
function loginRequests({ issuers = [] }: EnrolmentParts['policy']): AnteroomRequest[] {
  return issuers.flatMap(({ issuer, login }) => {
    if (login === null) return [];
    const text = writeLogin({ issuer, clientId: login.clientId, scopes: login.scopes, device: login.device });
    return [
      { begins: requestLine('GET', LOGIN_PATH), visit: () => ({ status: 200, type: JSON_TYPE, text, extra: '' }) },
    ];
  });
}

function json({ status, text }: DeskAnswer): AnteroomAnswer {
  return { status, type: JSON_TYPE, text, extra: status === 429 || status === 503 ? WAIT : '' };
}

function takesStrangers({ tokens, issuers = [] }: EnrolmentParts['policy']): boolean {
  return tokens || issuers.length > 0;
}
