// What the gate answers to who wants a certificate of it: strangers in the anteroom, and clients that renew over their own
// connection. The desk, which issues, may be in another process; here is only who may ask it for what.

import type { TLSSocket } from 'node:tls';
import type { DeskAnswer } from '../enroll/answers.ts';
import type { EnrollDesk } from '../enroll/desk.ts';
import { BUNDLE_PATH, ENROLL_PATH, LOGIN_PATH, MOST_REQUEST_BYTES, RENEW_PATH, writeLogin } from '../enroll/wire.ts';
import type { RequestHead } from '../http1/request.ts';
import type { Answer, Take } from '../proxy/contract.ts';
import { type AdmissionRules, admitLate, type Refused } from './admission.ts';
import { type AnteroomRequest, receive, requestLine } from './anteroom.ts';
import { bundleContent } from './bundle.ts';
import { addressKey } from './door-counts.ts';
import { type EstParts, estRequests } from './est.ts';

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
  const { desk, policy, admission, trust } = parts;
  const requests: AnteroomRequest[] = [];
  const from = { address, addressKey: addressKey(address) };
  if (why.code === 'CG_CLIENT_NO_CERTIFICATE' && takesStrangers(policy)) {
    requests.push(
      posted(ENROLL_PATH, (body) => desk.enroll(body, from)),
      // Public, and believed only by whoever knows the fingerprint of a root in it.
      { begins: requestLine('GET', BUNDLE_PATH), visit: () => ({ status: 200, ...bundleContent(trust()) }) },
      ...estRequests({ ...from, serial: null }, parts),
      ...loginRequests(policy),
    );
  }
  if (why.code === 'CG_CLIENT_EXPIRED' && policy.graceMs > 0) {
    const late = await admitLate(socket, admission, policy.graceMs);
    if (late.ok) {
      const { serial } = late;
      requests.push(
        posted(RENEW_PATH, (body) => desk.renew(body, { serial, address })),
        ...estRequests({ ...from, serial }, parts),
      );
    }
  }
  if (requests.length === 0 || socket.destroyed) return false;
  receive(socket, requests, refuse);
  return true;
}

/** Why a request to RENEW_PATH is none that may be answered; `foreign`: why it may come from another site's page. */
export function renewalProblem(
  head: RequestHead,
  foreign: string | null,
): { readonly status: number; readonly code: string; readonly detail: string; readonly close: true } | null {
  const problem = (status: number, code: string, detail: string) => ({ status, code, detail, close: true }) as const;
  if (head.method !== 'POST' || head.upgrade !== null) {
    return problem(405, 'CG_REQUEST_TARGET', `${RENEW_PATH} takes POST`);
  }
  if (foreign !== null) return problem(403, 'CG_REQUEST_CROSS_SITE', foreign);
  const barred = throughSidecar(head);
  return barred === null ? null : problem(403, barred.code, barred.detail);
}

/** Why a request may not give out a certificate: it came through a sidecar. Null when it did not. */
export function throughSidecar(head: RequestHead): { readonly code: string; readonly detail: string } | null {
  // Sidecars say this of every request that they pass on, and let no client say or unsay it (outbound/forward.ts). Whoever
  // can reach a sidecar's port may act by its certificate there, and must not be able to carry one away.
  if (!head.names.includes('x-certgate-client-proto')) return null;
  const detail = 'a certificate is renewed by its holder, not through its sidecar';
  return { code: 'CG_RENEW_THROUGH_SIDECAR', detail };
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

/** A POST with JSON to the desk. */
function posted(path: string, ask: (body: string) => Promise<DeskAnswer>): AnteroomRequest {
  const answer = async (body: Buffer) => {
    const { status, text } = await ask(body.toString('utf8'));
    return { status, type: JSON_TYPE, text, extra: status === 429 || status === 503 ? WAIT : '' };
  };
  return { begins: requestLine('POST', path), visit: () => ({ most: MOST_REQUEST_BYTES, answer }) };
}

/** Public: whoever believes it has verified the gate. */
function loginRequests({ issuers = [] }: EnrolmentParts['policy']): AnteroomRequest[] {
  return issuers.flatMap(({ issuer, login }) => {
    if (login === null) return [];
    const text = writeLogin({ issuer, clientId: login.clientId, scopes: login.scopes });
    return [
      { begins: requestLine('GET', LOGIN_PATH), visit: () => ({ status: 200, type: JSON_TYPE, text, extra: '' }) },
    ];
  });
}

function takesStrangers({ tokens, issuers = [] }: EnrolmentParts['policy']): boolean {
  return tokens || issuers.length > 0;
}
