import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  covers,
  credentialOf,
  isSubject,
  newToken,
  readCredential,
  readToken,
  requireSubject,
  sameHash,
  secretHashOf,
  writeToken,
} from '../../src/enroll/token.ts';
import { codeOf } from '../pki/fixture.ts';

const about = { rootFingerprint: 'ab'.repeat(32), gate: 'https://gate.example:8443', subject: 'worker/etl-1' };

describe('a token', () => {
  test('is read as it was written, with blanks around it or not', () => {
    const token = newToken(about);
    expect(readToken(`\n ${writeToken(token)} \n`)).toEqual(token);
    expect(writeToken(token)).toMatch(/^cgt1_[A-Za-z0-9_-]+$/);
  });

  test('is never the same twice', () => {
    expect(writeToken(newToken(about))).not.toBe(writeToken(newToken(about)));
  });

  test('with any one character changed, left out or added is told from a whole one', () => {
    const text = writeToken(newToken(about));
    fc.assert(
      fc.property(fc.nat(text.length - 1), fc.constantFrom('A', 'B', '_', '-', '9'), (at, other) => {
        const changed = text.slice(0, at) + other + text.slice(at + 1);
        const missing = text.slice(0, at) + text.slice(at + 1);
        const longer = text.slice(0, at) + other + text.slice(at);
        for (const mangled of [changed, missing, longer]) {
          if (mangled !== text) expect(() => readToken(mangled)).toThrow('not a token');
        }
      }),
    );
  });

  test.each([
    ['nothing', '', 'does not begin'],
    ['another secret', 'ghp_0123456789', 'does not begin'],
    ['a later version', 'cgt2_AAAA', 'later version'],
    ['a line break inside', `${writeToken(newToken(about)).slice(0, 60)}\n${'A'.repeat(60)}`, 'cut short or changed'],
    ['too much', `cgt1_${'A'.repeat(5_000)}`, 'cut short or changed'],
  ])('is not %s', async (_what, text, words) => {
    expect(await codeOf(() => readToken(text))).toBe('CG_TOKEN');
    expect(() => readToken(text)).toThrow(words);
  });

  test.each<[string, Partial<Parameters<typeof writeToken>[0]>]>([
    ['for the gate itself', { subject: 'gate/inbound' }],
    ['for no name', { subject: 'worker/etl?' }],
    ['with a third line', { subject: 'worker/etl-1\nworker/etl-2' }],
    ['that leads to no gate', { gate: '' }],
    ['that leads away from TLS', { gate: 'http://gate.example:8443' }],
    ['that leads past the gate', { gate: 'https://gate.example:8443/x' }],
    ['that leads to a gate by a user', { gate: 'https://me@gate.example:8443' }],
  ])('%s is none, though nothing has changed it', async (_what, odd) => {
    expect(await codeOf(() => readToken(writeToken({ ...newToken(about), ...odd })))).toBe('CG_TOKEN');
  });

  test('is never quoted by the error about it', () => {
    const text = writeToken(newToken(about)).slice(0, -2);
    let said = '';
    try {
      readToken(text);
    } catch (error) {
      said = String(error);
    }
    expect(said).toContain('not a token');
    expect(said).not.toContain(text.slice(5, 15));
  });

  test('proves itself by id and secret, of which the gate needs the hash only', () => {
    const token = newToken(about);
    expect(readCredential(credentialOf(token))).toEqual({ id: token.id, secretHash: secretHashOf(token.secret) });
    for (const odd of ['', token.id, `${token.id}.short`, `${credentialOf(token)}A`])
      expect(readCredential(odd)).toBeNull();
  });

  test('hashes are compared whole', () => {
    expect(sameHash('ab'.repeat(32), 'ab'.repeat(32))).toBe(true);
    expect(sameHash('ab'.repeat(32), `${'ab'.repeat(31)}ac`)).toBe(false);
    expect(sameHash('ab'.repeat(32), 'ab')).toBe(false);
  });
});

describe('what a token may be for', () => {
  test.each(['worker/etl-1', 'user/alice', 'service/data/ci', 'worker/*', 'worker/etl-*', 'service/data/*'])(
    '%s',
    (subject) => {
      expect(requireSubject(subject)).toBe(subject);
    },
  );
  test.each(['*', 'worker*', 'wor*', 'gate/x', 'gate/*', 'worker/*/x', 'worker/**'])('not %s', async (subject) => {
    expect(isSubject(subject)).toBe(false);
    expect(await codeOf(() => requireSubject(subject))).toBe('CG_TOKEN_SUBJECT');
  });
  test.each([
    'wroker/etl-1',
    'wroker/etl-*',
    'Worker/etl-1',
    'worker/etl 1',
    'worker/etl-',
    'worker/etl?',
    'alice',
    '',
  ])('not %j, which is no name at all', async (subject) => {
    expect(isSubject(subject)).toBe(false);
    expect(await codeOf(() => requireSubject(subject))).toBe('CG_IDENTITY_NAME');
  });
  test.each([
    ['worker/etl-1', 'worker/etl-1', true],
    ['worker/etl-1', 'worker/etl-2', false],
    ['worker/etl-*', 'worker/etl-17', true],
    ['worker/*', 'worker/etl-17', true],
    ['worker/etl-*', 'worker/etl-', false],
    ['worker/etl-*', 'worker/other', false],
    ['worker/*', 'worker/a/b', false],
    ['worker/*', 'user/a', false],
    ['worker/etl-long-*', 'user/worker/etl-long-1', false],
    ['worker/*', 'worker/UP', false],
  ])('%s for %s: %s', (subject, identity, yes) => {
    expect(covers(subject, identity)).toBe(yes);
  });
});
