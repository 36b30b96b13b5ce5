import { describe, expect, it, test } from 'vitest';
import { limitLog } from '../../src/observe/limited-log.ts';
import { forwardTo } from '../../src/outbound/forward.ts';
import { createSidecarState } from '../../src/outbound/sidecar-state.ts';
import type { Outcome } from '../../src/proxy/contract.ts';
import { headOf } from '../inbound/heads.ts';
import { quietLog } from '../observe/quiet-log.ts';

const log = quietLog;
const handler = (allowedHosts: readonly string[] = [], refused = () => {}, state = createSidecarState()) =>
  forwardTo({
    ...{ log, limitedLog: limitLog(log), accessLog: false, gate: 'https://gate.test:8443', allowedHosts },
    ended: () => null,
    refused,
    state,
  });
const GET = 'GET /api/flows/ HTTP/1.1';
const decide = (lines: readonly string[], host = '127.0.0.1:4210', allowed: readonly string[] = []) =>
  handler(allowed).decide(headOf(lines, GET, host));

describe('whoever may use the certificate of this machine', () => {
  it.each(['127.0.0.1:4210', 'localhost:4210', '[::1]:4210', 'LOCALHOST'])('is a program that asks for %s', (host) => {
    expect(decide([], host).kind).toBe('forward');
  });

  it.each(['evil.test:4210', '10.0.0.1', 'localhost.evil.test', '127.0.0.1.evil.test'])(
    'is not a page that a name such as %s led here (DNS rebinding)',
    (host) => {
      expect(decide([], host)).toMatchObject({ kind: 'answer', status: 421, close: true });
    },
  );

  it('is a container that uses a name which was allowed', () => {
    expect(decide([], 'host.docker.internal:4210', ['host.docker.internal']).kind).toBe('forward');
  });

  it.each([
    ['Origin: https://evil.test'],
    ['Origin: null'],
    ['Origin: http://127.0.0.1:9999'],
    ['Sec-Fetch-Site: cross-site'],
  ])('is not a web page of another origin (%s)', (line) => {
    expect(decide([line])).toMatchObject({ kind: 'answer', status: 403, close: true });
  });
});

describe('what goes to the gate', () => {
  it('keeps the client’s Host and says that the client speaks http, and nothing a client says in our name', () => {
    const verdict = decide(['X-Certgate-Identity: user/root', 'X-Certgate-Client-Proto: https', 'Authorization: kept']);
    if (verdict.kind !== 'forward') throw new Error(verdict.detail);
    const head = verdict.head.bytes.toString('latin1');
    expect(head).toContain('host: 127.0.0.1:4210\r\n');
    expect(head).toContain('authorization: kept\r\n');
    expect(head.match(/x-certgate.*/g)).toEqual(['x-certgate-client-proto: http']);
  });
});

describe('when the gate is not available', () => {
  it('makes clients wait where waiting helps', () => {
    const answer = handler().upstreamFailed('ECONNREFUSED: connect', false);
    expect(answer.status).toBe(503);
    expect(answer.extra).toMatch(/^retry-after: \d+\r\nprefect-maintenance: true\r\n$/);
  });

  it.each([
    ['SELF_SIGNED_CERT_IN_CHAIN: x', '--ca and --server-name'],
    ['ERR_TLS_CERT_ALTNAME_INVALID: x', '--ca and --server-name'],
    ['CERT_HAS_EXPIRED: x', 'the clock of this machine (date -u)'],
    ['CERT_NOT_YET_VALID: x', 'the clock of this machine (date -u)'],
  ])('says that the gate cannot be trusted, does not wait, and what to check, on %s', (problem, check) => {
    const answer = handler().upstreamFailed(problem, false);
    expect(answer).toMatchObject({ status: 502, extra: '' });
    expect(answer.detail).toContain(`can't be trusted (${problem}): check ${check}`);
  });
});

/** How a request went, with nothing special about it. */
const WENT: Omit<Outcome, 'status'> = {
  ...{ requestBytes: 0, answerBytes: 0, milliseconds: 1, upgraded: false, problem: null },
  ending: 'complete',
};

test('what is asked is counted, refused or not, and how it ended', () => {
  const state = createSidecarState();
  const one = handler([], () => {}, state);
  const head = headOf([], GET, '127.0.0.1:4210');
  for (const status of [204, 503]) one.finished(head, one.decide(head), { ...WENT, status });
  const foreign = headOf(['Origin: https://evil.test'], GET, '127.0.0.1:4210');
  one.finished(foreign, one.decide(foreign), { ...WENT, status: 403 });
  one.refuseMalformed({ ok: false, status: 400, reason: 'two lengths' });
  one.upstreamFailed('ECONNREFUSED: connect', false);
  const { requests, refused, upstreamFailures, answers } = state.counts;
  expect([requests, refused, upstreamFailures]).toEqual([3, 2, 1]);
  expect(answers).toEqual([0, 0, 1, 0, 1, 1]);
});

test.each<[string, boolean, Partial<Outcome>, boolean]>([
  ['an answer of the gate’s, or of Prefect’s behind it', false, { status: 503 }, true],
  ['a 403, which may be for the certificate, and may not', false, { status: 403 }, false],
  ['the same', true, { status: 403 }, true],
  ['an answer that broke off', false, { status: 200, ending: 'upstream-failed' }, false],
  ['the end of a WebSocket, which a gate that stops ends too', false, { status: 101, upgraded: true }, false],
])('%s says of a gate that was there or not (%s) what it can', (_what, before, outcome, after) => {
  const state = createSidecarState();
  state.gate = before;
  const one = handler([], () => {}, state);
  const head = headOf([], GET, '127.0.0.1:4210');
  one.finished(head, one.decide(head), { ...WENT, status: 200, ...outcome });
  expect(state.gate).toBe(after);
});

test('an answer of the sidecar’s own says nothing of the gate, and one that was not reached is not there', () => {
  const state = createSidecarState();
  const one = handler([], () => {}, state);
  const foreign = headOf([], GET, 'evil.test');
  one.finished(foreign, one.decide(foreign), { ...WENT, status: 421 });
  expect(state.gate).toBe(false);
  state.gate = true;
  one.upstreamFailed('upstream closed the connection', true);
  expect(state.gate).toBe(true);
  one.upstreamFailed('ECONNREFUSED: connect', false);
  expect(state.gate).toBe(false);
});

test('a 403 of the gate’s is told, for it may be that the certificate has ended, and no other answer', () => {
  let told = 0;
  const one = handler([], () => told++);
  const head = headOf([], GET, '127.0.0.1:4210');
  const verdict = one.decide(head);
  const foreign = one.decide(headOf(['Origin: https://evil.test'], GET, '127.0.0.1:4210'));
  for (const status of [200, 401, 404, 429, 503]) one.finished(head, verdict, { ...WENT, status });
  one.finished(head, foreign, { ...WENT, status: 403 });
  expect(told).toBe(0);
  one.finished(head, verdict, { ...WENT, status: 403 });
  expect(told).toBe(1);
});
