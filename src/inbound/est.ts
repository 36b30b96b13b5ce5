// What the gate answers to EST clients (RFC 7030), strangers and holders of a certificate alike: who may ask which operation,
// in the words of HTTP; the certificate itself is the desk's to give (enroll/desk.ts), which counts, compares, refuses and
// flags as it does for certgate's own clients. Errors are plain text, as RFC 7030 §4.2.3 has them. What is refused here says
// nothing of any token; the log tells the operator.

import type { DeskAnswer } from '../enroll/answers.ts';
import type { EnrollDesk, EnrollPolicy } from '../enroll/contract.ts';
import {
  CERTS_TYPE,
  CSR_ATTRIBUTES,
  CSRATTRS_TYPE,
  EST_PATH,
  estAsked,
  PKCS10_TYPE,
  readBasic,
  readPkcs10,
  writeCerts,
  writeIssuedCert,
} from '../enroll/est.ts';
import { MOST_REQUEST_BYTES, readDetail, readIssued, writeEnrollRequest, writeRenewRequest } from '../enroll/wire.ts';
import type { RequestHead } from '../http1/request-head.ts';
import { CHUNKED, headerValue } from '../http1/syntax.ts';
import type { LimitedLog } from '../observe/limited-log.ts';
import { canonicalPath } from '../policy/paths.ts';
import { type AnteroomRequest, METHODS } from './anteroom.ts';
import { heldBack } from './held-back.ts';
import type { ClientTrust } from './server-certificate.ts';

/** Waiting helps. */
const WAIT = 'retry-after: 2\r\n';
const CHALLENGE = 'www-authenticate: Basic realm="certgate", charset="UTF-8"\r\n';
const SINGLE = ['authorization', 'content-type'];
const TEXT_TYPE = 'text/plain';
const NO_PKCS10 = 'the body is no base64 of DER, as `openssl req -outform DER | openssl base64` makes it';
/** It says nothing (RFC 8951), and clients of RFC 7030's own text, estclient 1.0.6 among them, refuse an answer without it. */
const ENCODING = 'content-transfer-encoding: base64\r\n';

export interface EstParts {
  readonly desk: EnrollDesk;
  readonly policy: EnrollPolicy;
  readonly trust: () => ClientTrust;
  readonly log: LimitedLog;
}

/** Who asks. */
export interface EstVisitor {
  readonly address: string;
  /** What its tries are counted under. */
  readonly addressKey: string;
  /** Serial number of the certificate that it holds; null for none. */
  readonly serial: string | null;
}

export interface EstAnswer {
  readonly kind: 'answer';
  readonly status: number;
  readonly type: string;
  /** ASCII. */
  readonly text: string;
  /** Header lines, each with its CRLF. */
  readonly extra: string;
}

export type EstReply =
  | EstAnswer
  | EstRefusal
  | { readonly kind: 'take'; readonly most: number; readonly chunks: true; answer(body: Buffer): Promise<EstAnswer> };

/** `detail` is for the log as for the client: nothing in it is anybody's secret. */
export interface EstRefusal extends EstAnswer {
  readonly code: string;
  readonly detail: string;
}

/** What a request for `path`, decoded once, comes to. */
export function answerEst(head: RequestHead, path: string, visitor: EstVisitor, parts: EstParts): EstReply {
  const { desk, policy, trust } = parts;
  if (!policy.est) return refused(404, 'EST is off here (enroll.est)');
  if (head.upgrade !== null) return refused(400, `${EST_PATH} is no WebSocket`);
  const asked = estAsked(head.method, path);
  if (!asked.ok) {
    return refused(asked.status, asked.detail, asked.allow === null ? '' : `allow: ${asked.allow}\r\n`);
  }
  const { operation } = asked;
  // Of two, another reader could take the other (RFC 9110 §5.3: neither is a list).
  const twice = SINGLE.find((name) => head.names.filter((one) => one === name).length > 1);
  if (twice !== undefined) return refused(400, `${twice} is there more than once`);
  if (operation === 'cacerts') return given(CERTS_TYPE, writeCerts(trust().bundlePem));
  if (operation === 'csrattrs') return given(CSRATTRS_TYPE, CSR_ATTRIBUTES);
  const problem = bodyProblem(head);
  if (problem !== null) return problem;
  const barred = visitor.serial === null ? null : heldBack(head);
  if (barred !== null) return refused(403, barred.detail, '', barred.code);
  if (operation === 'simplereenroll') {
    const { serial, address } = visitor;
    if (serial === null)
      return refused(403, 'a certificate is renewed over a connection that it opened; see simpleenroll');
    return take((csr) => desk.renew(writeRenewRequest(csr), { serial, address, exactNames: true }));
  }
  if (!policy.tokens) return refused(403, 'nobody enrols by a token here (enroll.tokens)');
  const basic = readBasic(headerValue(head, 'authorization'));
  if (basic === null) {
    return refused(401, 'the token is the password of HTTP Basic; the user is the name, or empty', CHALLENGE);
  }
  return take((csr) => desk.enroll(writeEnrollRequest({ ...basic, csr }), visitor));
}

/** The requests of a visitor who is not let in, whatever their method: what it may not ask is said in EST's own words. */
export function estRequests(visitor: EstVisitor, parts: EstParts): readonly AnteroomRequest[] {
  if (!parts.policy.est) return [];
  return METHODS.map((method) => ({
    begins: `${method} ${EST_PATH}/`,
    visit(head) {
      const target = canonicalPath(head.target);
      const reply = target.ok
        ? answerEst(head, target.path, visitor, parts)
        : refused(400, `the request target ${target.reason}`);
      if ('code' in reply) noteRefusal(reply, visitor, parts.log);
      return reply;
    },
  }));
}

/** Tells the operator; of an admitted client there is an access line and a record instead. */
function noteRefusal({ status, code, detail: reason }: EstRefusal, { address }: EstVisitor, log: LimitedLog): void {
  // Clients ask once without a password to be told that one is wanted.
  const level = status === 401 ? 'info' : 'warn';
  const look = 'what EST client is at that address, and how it is configured: docs/est.md';
  log.say(level, `est ${status}`, { address, code, status, reason, look }, 'est request refused');
}

function take(ask: (csr: string) => Promise<DeskAnswer>): EstReply {
  return {
    kind: 'take',
    most: MOST_REQUEST_BYTES,
    chunks: true,
    async answer(body) {
      const csr = readPkcs10(body);
      const { status, text } = await ask(csr ?? '');
      const issued = status === 200 ? readIssued(text) : null;
      if (issued !== null) return given(CERTS_TYPE, writeIssuedCert(issued.certificate));
      const wait = status === 429 || status === 503 ? WAIT : '';
      const detail = csr === null && status === 400 ? NO_PKCS10 : readDetail(text).replace(/^certgate: /, '');
      return plain(status, detail, wait);
    },
  };
}

/** What is wrong with a POST before anybody looks at its body. */
function bodyProblem(head: RequestHead): EstReply | null {
  const type = (headerValue(head, 'content-type') ?? '').split(';')[0]?.trim().toLowerCase();
  if (type !== PKCS10_TYPE) return refused(415, `content-type: ${PKCS10_TYPE} is wanted, with base64 of the DER`);
  if (head.bodyLength === CHUNKED || head.names.includes('content-length')) return null;
  return refused(411, 'the request has no body');
}

function given(type: string, text: string): EstAnswer {
  return { kind: 'answer', status: 200, type, text, extra: ENCODING };
}

function refused(status: number, detail: string, extra = '', code = 'CG_EST_REQUEST'): EstRefusal {
  return { ...plain(status, detail, extra), code, detail };
}

function plain(status: number, detail: string, extra: string): EstAnswer {
  const text = `certgate: ${detail}\n`.replace(/[^\n\x20-\x7e]/g, '?');
  return { kind: 'answer', status, type: TEXT_TYPE, text, extra };
}
