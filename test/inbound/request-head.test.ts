import type { X509Certificate } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { certificateLines, clientProto, isOwnHeader } from '../../src/inbound/request-head.ts';
import { headOf, writeRequestHead } from './heads.ts';

const STAMP = {
  client: 'x-certgate-identity: worker/etl-1\r\n',
  address: '127.0.0.1',
  requestId: 'r1',
  target: '/api/flows/',
  proto: 'https',
  plainAnswer: false,
  authorization: null,
} as const;

/** Any case, `_` for `-`. */
const spelled = (name: string): fc.Arbitrary<string> =>
  fc.array(fc.tuple(fc.boolean(), fc.boolean()), { minLength: name.length, maxLength: name.length }).map((choices) =>
    name
      .split('')
      .map((character, i) => {
        const [upper = false, other = false] = choices[i] ?? [];
        if (character === '-' && other) return '_';
        return upper ? character.toUpperCase() : character;
      })
      .join(''),
  );

const OWN = [
  'x-forwarded-for',
  'x-forwarded-proto',
  'x-forwarded-host',
  'x-forwarded-client-cert',
  'x-forwarded-anything',
  'forwarded',
  'x-real-ip',
  'client-cert',
  'client-cert-chain',
  'x-client-cert',
  'x-ssl-client-dn',
  'x-certgate-identity',
  'x-certgate-anything',
  'x-request-id',
  'prefect-automation-id',
  'prefect-automation-name',
];

describe('the head that upstream gets', () => {
  it('has no header of ours that a client wrote, in any spelling', () => {
    const name = fc.constantFrom(...OWN).chain(spelled);
    fc.assert(
      fc.property(name, (header) => {
        const text = writeRequestHead(headOf([`${header}: forged`, 'traceparent: kept']), STAMP);
        expect(text).not.toContain('forged');
        expect(text).toContain('traceparent: kept');
        expect(text.match(/x-certgate-identity/g)).toHaveLength(1);
      }),
    );
  });

  it('forgets names that peers invent rather than grow', () => {
    for (let i = 0; i < 10_000; i++) expect(isOwnHeader(`x-invented-${i}`)).toBe(false);
    expect(isOwnHeader('x_certgate_identity')).toBe(true);
  });

  it('has neither hop-by-hop headers nor what Connection names', () => {
    const head = headOf([
      'Connection: keep-alive, X-Mine',
      'X-Mine: 1',
      'Keep-Alive: 5',
      'TE: trailers',
      'Proxy-Authorization: x',
    ]);
    expect(writeRequestHead(head, STAMP)).not.toMatch(/^(?:connection|x-mine|keep-alive|te|proxy-authorization):/im);
  });

  it('carries the server’s own password in place of the client’s, when the gate holds it', () => {
    const head = headOf(['Authorization: Basic bWluZQ==']);
    expect(writeRequestHead(head, STAMP)).toContain('authorization: Basic bWluZQ==');
    const held = writeRequestHead(head, { ...STAMP, authorization: 'Basic b3Vycw==' });
    expect(held.match(/authorization: .*/g)).toEqual(['authorization: Basic b3Vycw==']);
  });

  it('opens a WebSocket uncompressed when its first message will be rewritten, else as the client asked', () => {
    const lines = [
      'Connection: Upgrade',
      'Upgrade: websocket',
      'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
      'Sec-WebSocket-Version: 13',
      'Sec-WebSocket-Extensions: permessage-deflate',
    ];
    expect(writeRequestHead(headOf(lines), STAMP)).toMatch(
      /permessage-deflate.*upgrade: websocket\r\nconnection: Upgrade/s,
    );
    expect(writeRequestHead(headOf(lines), { ...STAMP, authorization: 'Basic x' })).not.toContain('permessage-deflate');
  });

  it('says http only when a sidecar said so', () => {
    expect(clientProto(headOf([]))).toBe('https');
    expect(clientProto(headOf(['X-Certgate-Client-Proto: http']))).toBe('http');
    expect(clientProto(headOf(['X-Certgate-Client-Proto: javascript']))).toBe('https');
    expect(clientProto(headOf(['X-Forwarded-Proto: http']))).toBe('https');
  });
});

describe('the lines that speak for a certificate', () => {
  const linesOf = (subjectAltName: string, subject: string): string =>
    certificateLines('worker/etl-1', {
      fingerprint256: 'AB:CD',
      subjectAltName,
      subject,
      raw: Buffer.from('der'),
    } as Partial<X509Certificate> as X509Certificate);

  it('have its hash, subject and URI in Envoy’s form, itself in RFC 9440’s, and the identity', () => {
    expect(linesOf('DNS:x, URI:spiffe://prefect.internal/worker/etl-1', 'O=Acme\nCN=etl-1')).toBe(
      'x-forwarded-client-cert: Hash=abcd;Subject="CN=etl-1,O=Acme";URI=spiffe://prefect.internal/worker/etl-1\r\n' +
        'client-cert: :ZGVy:\r\nx-certgate-identity: worker/etl-1\r\n',
    );
  });

  it.each([
    ['URI:https://x/;URI=spiffe://prefect.internal/user/root', 'CN=x'],
    ['URI:https://x/?a=b', 'CN=x";URI="spiffe://prefect.internal/user/root'],
  ])('leave out what could add a field of its own: %s, %s', (san, subject) => {
    const [line = ''] = linesOf(san, subject).split('\r\n');
    expect(line).not.toMatch(/root|URI/);
  });
});
