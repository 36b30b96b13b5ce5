import { X509Certificate } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Seen } from './harness/echo.ts';
import { credentialsIn, type House, type Serving } from './harness/house.ts';
import { echo, house } from './harness/scenario.ts';
import { ask, openTls, type Wire } from './harness/wire.ts';

const OWN = [
  'X-Certgate-Identity',
  'X-Certgate-Role',
  'X-Certgate-Anything-At-All',
  'X-Forwarded-For',
  'X-Forwarded-Proto',
  'X-Forwarded-Host',
  'X-Forwarded-Port',
  'X-Forwarded-Prefix',
  'X-Forwarded-User',
  'X-Forwarded-Client-Cert',
  'Forwarded',
  'X-Real-IP',
  'Client-Cert',
  'Client-Cert-Chain',
  'X-SSL-Client-Cert',
  'X-SSL-Client-S-DN',
  'X-Request-Id',
  'Prefect-Automation-ID',
  'Prefect-Automation-Name',
];
const spellings = (name: string): string[] => [
  name,
  name.toLowerCase(),
  name.toUpperCase(),
  name.replaceAll('-', '_'),
  name.toLowerCase().replaceAll('-', '_'),
  name.replace('-', '_'),
];

let home: House;
let gate: Serving;
let wire: Wire;
let certificate: X509Certificate;

beforeAll(async () => {
  home = await house();
  const identity = await home.issue('worker/etl-1');
  gate = await home.serve({ upstream: (await echo()).url });
  const credentials = await credentialsIn(identity);
  certificate = new X509Certificate(credentials.cert);
  wire = await openTls(gate.port, credentials);
});
afterAll(() => wire.socket.destroy());

const seenOf = async (lines: readonly string[]): Promise<ReadonlyMap<string, readonly string[]>> => {
  const answer = await ask(
    wire,
    ['GET /api/hello?x=%2F HTTP/1.1', 'Host: gate.test:8443', ...lines, '', ''].join('\r\n'),
  );
  expect(answer.status, answer.body.toString()).toBe(200);
  const seen = JSON.parse(answer.body.toString()) as Seen;
  const headers = new Map<string, string[]>();
  for (const [name, value] of seen.headers) {
    const lower = name.toLowerCase().replaceAll('_', '-');
    headers.set(lower, [...(headers.get(lower) ?? []), value]);
  }
  return headers;
};

describe('what a client says about itself never reaches the Prefect server', () => {
  test.each(OWN)('%s, in any case and with underscores', async (name) => {
    const headers = await seenOf(spellings(name).map((spelling) => `${spelling}: forged`));
    expect([...headers.values()].flat().filter((value) => value.includes('forged'))).toEqual([]);
  });

  test('nor by naming the gate’s own headers in Connection', async () => {
    const headers = await seenOf(['Connection: x-certgate-identity, client-cert, x-forwarded-for']);
    expect(headers.get('x-certgate-identity')).toEqual(['worker/etl-1']);
    expect(headers.get('client-cert')).toHaveLength(1);
    expect(headers.get('x-forwarded-for')).toEqual(['127.0.0.1']);
  });
});

test('what reaches the Prefect server is the client’s request and exactly the gate’s own headers', async () => {
  const headers = await seenOf([
    'Accept: text/plain',
    'traceparent: 00-aa-bb-01',
    'X-Prefect-Worker-Name: etl',
    'TE: trailers',
  ]);
  const { 'x-request-id': requestId, ...rest } = Object.fromEntries(headers);
  expect(requestId?.[0]).toMatch(/^[0-9a-f]+-[0-9a-z]+$/);
  expect(rest).toEqual({
    host: ['gate.test:8443'],
    accept: ['text/plain'],
    traceparent: ['00-aa-bb-01'],
    'x-prefect-worker-name': ['etl'],
    'x-forwarded-for': ['127.0.0.1'],
    'x-forwarded-proto': ['https'],
    'x-forwarded-host': ['gate.test:8443'],
    'x-forwarded-client-cert': [
      `Hash=${certificate.fingerprint256.replaceAll(':', '').toLowerCase()};Subject="${certificate.subject}";URI=spiffe://certgate.internal/worker/etl-1`,
    ],
    'client-cert': [`:${certificate.raw.toString('base64')}:`],
    'x-certgate-identity': ['worker/etl-1'],
  });
});

test('behind an outbound sidecar a client can’t forge it either, and links are built for that client', async () => {
  const sidecar = await home.connect(gate, await home.issue('user/alice'));
  const answer = await fetch(`${sidecar.url}/api/hello`, {
    headers: {
      'x-certgate-identity': 'worker/etl-1',
      x_certgate_identity: 'worker/etl-1',
      'x-certgate-client-proto': 'https',
    },
  });
  const seen = (await answer.json()) as Seen;
  const valuesOf = (wanted: string): string[] =>
    seen.headers.filter(([name]) => name.toLowerCase().replaceAll('_', '-') === wanted).map(([, value]) => value);
  expect(valuesOf('x-certgate-identity')).toEqual(['user/alice']);
  expect(valuesOf('x-certgate-client-proto')).toEqual([]);
  expect(valuesOf('x-forwarded-proto')).toEqual(['http']);
  expect(valuesOf('host')).toEqual([`127.0.0.1:${sidecar.port}`]);
});
