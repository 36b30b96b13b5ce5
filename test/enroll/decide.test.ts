// Who gets a certificate for a one-time token, or for an identity token: each reason to refuse by itself, at its very end,
// and whom it accuses.

import { describe, expect, test } from 'vitest';
import { decideEnrollment, type EnrollDecision, type EnrollFacts, REPEAT_TIME } from '../../src/enroll/decide.ts';
import { decideByIdentityToken, type IdentityTokenFacts } from '../../src/enroll/identity-token-decide.ts';
import type { VerifiedToken } from '../../src/enroll/identity-tokens.ts';
import type { TokenUse } from '../../src/store/token-use.ts';
import type { TokenRecord } from '../../src/store/tokens.ts';

const NOW = 1_790_000_000_000;
const TOKEN = {
  ...{ id: 't1', subject: 'worker/etl-1', usesLeft: 1, expiresAt: NOW + 1, revokedAt: null, ttlMs: 86_400_000 },
} as unknown as TokenRecord;
const PATTERN = { ...TOKEN, subject: 'worker/*', usesLeft: 2 };
const use = { token: 't1', identity: 'worker/etl-1', usedAt: NOW };
const OWN: TokenUse = { ...use, keyHash: 'own', serial: '0a' };
const OTHERS: TokenUse = { ...use, keyHash: 'other', serial: '0b' };

/** `issue IDENTITY`, `again SERIAL`, or why not; ` !` where somebody is accused. */
function said(decision: EnrollDecision): string {
  if (decision.kind === 'issue') return `issue ${decision.grant.identity}`;
  if (decision.kind === 'again') return `again ${decision.serial}`;
  return `${decision.reason}${decision.kind === 'refuse' && decision.flag !== null ? ' !' : ''}`;
}

describe('a one-time token', () => {
  const by = (different: Partial<EnrollFacts>) =>
    decideEnrollment({
      ...{ token: TOKEN, proved: true, use: null, keyHash: 'own', asked: null, inUse: false, now: NOW },
      ...different,
    });

  test.each<[Partial<EnrollFacts>, string]>([
    [{}, 'issue worker/etl-1'],
    [{ asked: 'worker/etl-1' }, 'issue worker/etl-1'],
    [{ inUse: true }, 'issue worker/etl-1'],
    [{ token: PATTERN, asked: 'worker/b' }, 'issue worker/b'],
    [{ token: null }, 'there is no such token'],
    [{ token: null, proved: false }, 'there is no such token'],
    [{ proved: false }, 'the secret is not that of the token'],
    [{ proved: false, use: OWN }, 'the secret is not that of the token'],
    [{ token: { ...TOKEN, revokedAt: NOW }, use: OWN }, 'the token was revoked'],
    [{ use: OWN, token: { ...TOKEN, usesLeft: 0, expiresAt: NOW - 1 } }, 'again 0a'],
    [{ use: OWN, now: NOW + REPEAT_TIME - 1 }, 'again 0a'],
    [{ use: OWN, now: NOW + REPEAT_TIME }, 'this key has used the token before'],
    [{ asked: 'worker/etl-2' }, 'the token is not for the name that was asked for'],
    [{ token: PATTERN }, 'the token is for several names and none was asked for'],
    [{ token: PATTERN, asked: 'user/b' }, 'the token is not for the name that was asked for'],
    [
      { token: PATTERN, asked: 'worker/b', use: OTHERS },
      'with another key, for a name that has its certificate by this token !',
    ],
    [{ token: PATTERN, asked: 'worker/b', inUse: true }, 'the name is in use: it has a valid certificate'],
    [{ token: { ...TOKEN, usesLeft: 0 }, use: OTHERS }, 'the token has been used up, and this is another key'],
    [{ token: { ...TOKEN, usesLeft: 0 }, inUse: true }, 'the token has been used up, and this is another key !'],
    // Used up and expired since: who took it first is still told of.
    [
      { token: { ...TOKEN, usesLeft: 0, expiresAt: NOW - 1 }, inUse: true },
      'the token has been used up, and this is another key !',
    ],
    [{ token: { ...TOKEN, expiresAt: NOW } }, 'the token has expired'],
    [{ token: { ...PATTERN, expiresAt: NOW }, asked: 'worker/b', inUse: true }, 'the token has expired'],
  ])('%j: %s', (different, wanted) => expect(said(by(different))).toBe(wanted));

  test('gives what it was made for, on its account', () => {
    const decision = by({ token: { ...TOKEN, groups: ['pool:etl'] } });
    expect(decision).toEqual({
      kind: 'issue',
      grant: {
        ...{ identity: 'worker/etl-1', groups: ['pool:etl'], ttlMs: 86_400_000, renewable: true, actor: 'token:t1' },
        ...{ cause: { kind: 'token', token: 't1', keyHash: 'own' }, logged: { tokenId: 't1' } },
      },
    });
    expect(by({})).toMatchObject({ grant: { groups: [] } });
  });
});

describe('an identity token', () => {
  const token: VerifiedToken = {
    ...{ kind: 'verified', issuer: 'idp', about: { iss: 'https://idp.example', sub: 'a', jti: null }, id: 'f00d' },
    ...{ identity: 'worker/etl-1', groups: ['Data'], ttlMs: 3_600_000, renewable: false, rule: 'rules[0]', uses: 2 },
    ...{ issuedAt: NOW - 1000, endsAt: NOW + 1000 },
  };
  const by = (different: Partial<IdentityTokenFacts>) =>
    decideByIdentityToken({
      ...{ token, uses: [], keyHash: 'own', asked: null, inUse: false, restoredAt: null, now: NOW },
      ...different,
    });
  const used = 'idp: the token has been used, and this is another key';

  test.each<[string, Partial<IdentityTokenFacts>, string]>([
    ['that nobody has used', {}, 'issue worker/etl-1'],
    ['for the name that its rule makes of it', { asked: 'worker/etl-1' }, 'issue worker/etl-1'],
    ['of a name that somebody has', { inUse: true }, 'issue worker/etl-1'],
    ['with a use left', { uses: [OTHERS] }, 'issue worker/etl-1'],
    ['by the same key', { uses: [OTHERS, OWN] }, 'again 0a'],
    ['by the same key, for another name', { uses: [OWN], asked: 'worker/b' }, 'again 0a'],
    ['by the same key, just in time', { uses: [OWN], now: NOW + REPEAT_TIME - 1 }, 'again 0a'],
    ['by the same key, too late', { uses: [OWN], now: NOW + REPEAT_TIME }, 'idp: this key has used the token before'],
    ['for another name', { asked: 'worker/b' }, 'idp: rules[0] names worker/etl-1, and another name was asked for'],
    ['of the moment of a restore', { restoredAt: token.issuedAt }, 'issue worker/etl-1'],
    ['that is used up', { uses: [OTHERS, { ...OTHERS, keyHash: 'third' }] }, used],
    ['that is used up by who has the name', { uses: [OTHERS, OTHERS], inUse: true }, `${used} !`],
    ['that is good for one', { token: { ...token, uses: 1 }, uses: [OTHERS] }, used],
  ])('%s', (_what, different, wanted) => expect(said(by(different))).toBe(wanted));

  test('from before the CA was restored is refused, and is on record with whose it is', () => {
    const decision = by({ restoredAt: token.issuedAt + 1 });
    expect(said(decision)).toContain('it may have been used');
    expect(decision).toMatchObject({ kind: 'refuse', about: 'identity token of idp', flag: null, verified: token });
  });

  test('gives what its rule says, on its issuer’s account', () => {
    const about = { iss: 'https://idp.example', sub: 'a', jti: '', issuer: 'idp', rule: 'rules[0]' };
    expect(by({})).toEqual({
      kind: 'issue',
      grant: {
        ...{ identity: 'worker/etl-1', groups: ['Data'], ttlMs: 3_600_000, renewable: false, actor: 'jwt:idp' },
        cause: { kind: 'identity-token', token: 'f00d', keyHash: 'own', uses: 2, endsAt: NOW + 1000, about },
        logged: about,
      },
    });
  });
});
