import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type CertgateError, isCertgateError } from '../../src/errors.ts';
import {
  clientNames,
  isIdentityName,
  kindOf,
  parseIdentityName,
  parseTrustDomain,
  spiffeUri,
} from '../../src/identity/name.ts';
import { identityName, trustDomain } from './names.ts';

function errorOf(action: () => unknown): CertgateError {
  try {
    action();
  } catch (error) {
    if (isCertgateError(error)) return error;
  }
  return expect.unreachable('no error of the catalogue');
}

describe('the name of an identity', () => {
  test.each([
    'worker/etl-1',
    'user/alice',
    'service/data/ci',
    'service/a/b/c',
    'worker/0',
    'user/a.b_c-d',
    'gate/host-1',
  ])('may be %s', (name) => {
    expect(parseIdentityName(name)).toBe(name);
  });

  test.each([
    '',
    'worker',
    'worker/',
    '/worker/x',
    'worker//x',
    'worker/x/',
    'worker/a/b/c/d',
    'root/x',
    'Worker/x',
    'worker/X',
    'worker/.x',
    'worker/x.',
    'worker/-x',
    'worker/x-',
    'worker/..',
    'worker/a b',
    'worker/a%2fb',
    'worker/a\\b',
    'worker/a\0',
    'worker/a\n',
    ' worker/a',
    'worker/\u0430',
    'worker/\u2024',
    'worker/a?b',
    `worker/${'a'.repeat(122)}`,
  ])('may not be %j, and the error names it and gives an example', (name) => {
    const error = errorOf(() => parseIdentityName(name));
    expect(error.code).toBe('CG_IDENTITY_NAME');
    expect(error.message).toContain(
      name
        .slice(0, 8)
        .replaceAll(/[^ -~]/g, '')
        .slice(0, 4),
    );
    expect(error.message).toMatch(/^[\x20-\x7e\u2026]*$/);
    expect(error.hint).toContain('worker/etl-1');
  });

  test('has 128 characters at most', () => {
    expect(isIdentityName(`worker/${'a'.repeat(121)}`)).toBe(true);
    expect(isIdentityName(`worker/${'a'.repeat(122)}`)).toBe(false);
  });

  test('begins with its kind', () => {
    expect(kindOf('worker/user/x')).toBe('worker');
    expect(kindOf('gate/x')).toBe('gate');
    expect(errorOf(() => kindOf('workers/x')).code).toBe('CG_IDENTITY_NAME');
  });

  test('is decided in no time, however long the text', () => {
    for (const text of [
      `worker/${'a-'.repeat(50_000)}`,
      'a/'.repeat(50_000),
      `worker/${'a'.repeat(60)}${'-'.repeat(60)}!`,
    ]) {
      expect(isIdentityName(text)).toBe(false);
    }
  });
});

describe('a trust domain', () => {
  test.each(['prefect.example', 'localhost', 'my_domain', 'a-b.c_d', '1.2.3', 'a'.repeat(255)])('may be %s', (text) => {
    expect(parseTrustDomain(text)).toBe(text);
  });

  test.each([
    '',
    '.',
    'a.',
    '.a',
    'a..b',
    'A.example',
    'a b',
    'a/b',
    'a:1',
    '-a',
    'a-',
    '10.0.0.1',
    'é',
    'a\n',
    'a'.repeat(256),
  ])('may not be %j', (text) => {
    expect(errorOf(() => parseTrustDomain(text)).code).toBe('CG_TRUST_DOMAIN');
  });
});

describe('a SPIFFE ID', () => {
  test('is the trust domain and the name, nothing escaped', () => {
    expect(spiffeUri('prefect.example', 'worker/etl-1')).toBe('spiffe://prefect.example/worker/etl-1');
  });

  test('is made of any trust domain and any name, and of nothing else', () => {
    fc.assert(
      fc.property(trustDomain, identityName, fc.string(), (domain, name, text) => {
        expect(new URL(spiffeUri(domain, name))).toMatchObject({ host: domain, pathname: `/${name}` });
        if (!isIdentityName(text)) expect(errorOf(() => spiffeUri(domain, text)).code).toBe('CG_IDENTITY_NAME');
        expect(errorOf(() => spiffeUri(`${domain}/`, name)).code).toBe('CG_TRUST_DOMAIN');
      }),
    );
  });
});

test('the names of clients, read a character at a time, are the same ones', () => {
  const read = (text: string): boolean => {
    const go = (state: string | null, character: string): string | null =>
      state === null || !clientNames.alphabet.includes(character) ? null : clientNames.next(state, character);
    const state = Array.from(text).reduce(go, clientNames.start);
    return state !== null && clientNames.ends(state);
  };
  const kinds = fc.constantFrom('user', 'worker', 'service', 'gate', 'us', 'user/worker');
  const rest = fc.array(fc.constantFrom('/', '/', 'a', '0', 'z', '-', '.', '_', 'A', ' '), { maxLength: 8 });
  const odd = fc.tuple(kinds, rest).map(([kind, pieces]) => kind + pieces.join(''));
  fc.assert(
    fc.property(fc.oneof(odd, identityName), (text) => {
      expect(read(text), text).toBe(isIdentityName(text) && !text.startsWith('gate/'));
    }),
    { numRuns: 5_000, examples: [[''], ['user/a/b/c'], ['user/a/b/c/d'], ['user/'], ['gate/a']] },
  );
});
