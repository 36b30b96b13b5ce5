import { generateKeyPairSync } from 'node:crypto';
import { CompactEncrypt } from 'jose';
import { describe, expect, test } from 'vitest';
import { openIdentityTokens, type Verdict } from '../../src/enroll/identity-tokens.ts';
import { namesPool } from '../../src/identity/groups.ts';
import { limitLog } from '../../src/observe/limited-log.ts';
import { isPoolGroup, poolGroup } from '../../src/policy/scope.ts';
import { quietLog } from '../observe/quiet-log.ts';
import { GITHUB, GITLAB, KUBERNETES, OLDER_KUBERNETES } from './published-tokens.ts';
import { AUDIENCE, issuerSettings, publicJwk, testIssuer, written } from './token-issuer.ts';

const NOW = 1_790_000_000;
const KEY = 'ab'.repeat(32);
const silent = limitLog(quietLog);
const ISS = 'https://idp.example';
const RULES = [{ match: { sub: 'worker:([a-z0-9-]+)' }, as: 'worker/$1' }];
const issuer = testIssuer();
const verifierOf = (more: object = {}, from = issuer) =>
  openIdentityTokens(
    [issuerSettings({ name: 'idp', issuer: ISS, audience: AUDIENCE, jwksFile: from.jwksFile, rules: RULES, ...more })],
    silent,
  );
const verifier = verifierOf();

const header = { alg: 'RS256', kid: 'rsa', typ: 'JWT' };
const claims = { iss: ISS, aud: AUDIENCE, sub: 'worker:etl-1', jti: 'a', iat: NOW, exp: NOW + 300 };
const good = written(header, claims, issuer.rsa);
const said = (verdict: Verdict): string => (verdict.kind === 'verified' ? verdict.identity : verdict.reason);
const ask = async (token: string, by = verifier, now = NOW) => said(await by.verify(token, now * 1000, KEY));
const without = (name: keyof typeof claims): object => ({ ...claims, [name]: undefined });

describe('a token of the published form', () => {
  test.each([
    [
      'of Kubernetes',
      KUBERNETES,
      {
        match: {
          '/kubernetes.io/namespace': 'kube-system',
          '/kubernetes.io/serviceaccount/name': '([a-z0-9-]+)',
          sub: 'system:serviceaccount:kube-system:.*',
        },
        as: 'worker/$1',
      },
      'worker/coredns',
    ],
    [
      'of an older Kubernetes, without jti',
      OLDER_KUBERNETES,
      { match: { sub: 'system:serviceaccount:(?<ns>[a-z-]+):(?<sa>[a-z-]+)' }, as: 'worker/$<ns>/$<sa>' },
      'worker/kube-system/coredns',
    ],
    [
      'of GitHub Actions',
      GITHUB,
      {
        match: { repository: 'octo-org/([a-z0-9-]+)', environment: 'prod', ref: 'refs/heads/main' },
        as: 'service/ci/$1',
      },
      'service/ci/octo-repo',
    ],
    [
      'of GitLab CI',
      GITLAB,
      { match: { project_path: 'my-group/([a-z-]+)', ref_protected: 'false', runner_id: '1' }, as: 'service/ci/$1' },
      'service/ci/my-project',
    ],
  ] as const)(
    '%s is taken, and names whom the rule says',
    async (_from, { header: head, claims: published }, rule, name) => {
      const from = testIssuer(head['kid']);
      const body = published(AUDIENCE, NOW);
      const by = verifierOf({ issuer: body['iss'], rules: [rule] }, from);
      const verdict = await by.verify(written(head, body, from.rsa), (NOW + 200) * 1000, KEY);
      expect(verdict).toMatchObject({ kind: 'verified', identity: name, rule: 'rules[0]', uses: 1 });
    },
  );

  test('without jti is known by what was signed, whatever its signature looks like', async () => {
    const body = without('jti');
    // ECDSA has a new signature each time.
    const [one, two] = [0, 1].map(() => written({ alg: 'ES256', kid: 'ec' }, body, issuer.ec));
    const [first, second] = await Promise.all([one, two].map((token) => verifier.verify(token ?? '', NOW * 1000, KEY)));
    expect(one).not.toBe(two);
    expect(first).toMatchObject({ kind: 'verified', id: (second as { id: string }).id });
  });

  test.each(['ES256', 'EdDSA', 'Ed25519'])('may be signed with %s', async (alg) => {
    const [kid, key] = alg === 'ES256' ? (['ec', issuer.ec] as const) : (['ed', issuer.ed] as const);
    expect(await ask(written({ alg, kid }, claims, key))).toBe('worker/etl-1');
  });

  test('may give groups, a list or a text, and those that the rule adds', async () => {
    const rule = { match: { sub: '.*' }, as: 'user/alice', groups: ['people'], groupsFrom: 'groups' };
    const by = verifierOf({ rules: [rule] });
    const some = async (groups: unknown) =>
      by.verify(written(header, { ...claims, groups }, issuer.rsa), NOW * 1000, KEY);
    expect(await some(['data/etl', 'Admins'])).toMatchObject({ groups: ['people', 'data/etl', 'Admins'] });
    expect(await some('data/etl')).toMatchObject({ groups: ['people', 'data/etl'] });
    expect(await some(undefined)).toMatchObject({ groups: ['people'] });
    expect(await some(['a,b'])).toMatchObject({ kind: 'refuse', reason: expect.stringContaining('"a,b"') as string });
    const many = Array.from({ length: 40 }, (_, i) => `g${i}`);
    expect(await some(many)).toMatchObject({
      kind: 'refuse',
      reason: expect.stringContaining('groupsMatch') as string,
    });
    const filtered = verifierOf({ rules: [{ ...rule, groupsMatch: 'g1.?' }] });
    expect(
      await filtered.verify(written(header, { ...claims, groups: [...many, 'a,b'] }, issuer.rsa), NOW * 1000, KEY),
    ).toMatchObject({ kind: 'verified', groups: expect.arrayContaining(['people', 'g1', 'g19']) as string[] });
  });
});

test('a claim adds no pool to those that the rule names, and names one where the rule names none', async () => {
  const groups = ['pool:ml', 'Data'];
  for (const [own, all] of [
    [['pool:etl'], ['pool:etl', 'Data']],
    [['people'], ['people', 'pool:ml', 'Data']],
  ]) {
    const rule = { match: { sub: '.*' }, as: 'worker/a', groups: own, groupsFrom: 'groups' };
    const token = written(header, { ...claims, groups }, issuer.rsa);
    expect(await verifierOf({ rules: [rule] }).verify(token, NOW * 1000, KEY)).toMatchObject({ groups: all });
  }
  // What narrows by the policy is what is meant here.
  expect([isPoolGroup('pool:etl'), namesPool(poolGroup('etl'))]).toEqual([true, true]);
});

describe('a claim that is there and cannot be read whole', () => {
  const many = Array.from({ length: 501 }, (_, i) => `g${i}`);
  const elsewhere = { _claim_names: { groups: 'src1' }, _claim_sources: { src1: { endpoint: 'https://idp.example' } } };
  const odd: ReadonlyArray<readonly [what: string, more: object, reason: string]> = [
    ['more values than are looked at', { groups: [...many, 'contractors'] }, '"groups" has more than 500 values'],
    ['null among them', { groups: ['contractors', null] }, '"groups" has what is no text: "null"'],
    ['a fraction among them', { groups: ['contractors', 1.5] }, '"groups" has what is no text: "1.5"'],
    ['an object among them', { groups: ['contractors', { a: 1 }] }, '"groups" has what is no text'],
    ['an object in its place', { groups: { contractors: true } }, '"groups" has what is no text'],
    ['a word that it is kept elsewhere', elsewhere, '"groups" is kept elsewhere'],
  ];

  test.each(odd)('for %s is refused, and no wider rule is asked', async (_what, more, reason) => {
    const by = verifierOf({
      rules: [
        { match: { sub: 'worker:(.*)', groups: 'contractors' }, as: 'user/ext/$1', groups: ['pool:sandbox'] },
        { match: { sub: '.*' }, as: 'user/anybody' },
      ],
    });
    expect(await ask(written(header, { ...claims, ...more }, issuer.rsa), by)).toContain(reason);
    // Where the rule is about somebody else all the same, the next one is asked.
    expect(await ask(written(header, { ...claims, ...more, sub: 'x' }, issuer.rsa), by)).toBe('user/anybody');
    for (const groups of [undefined, null, [], ['staff']]) {
      expect(await ask(written(header, { ...claims, groups }, issuer.rsa), by)).toBe('user/anybody');
    }
  });

  test('for a word that what holds it is kept elsewhere is refused by a pointer, too', async () => {
    for (const [at, elsewhereToo] of [
      ['/groups', elsewhere],
      ['/realm_access/roles', { _claim_names: { realm_access: 'src1' } }],
    ] as const) {
      const by = verifierOf({ rules: [{ match: { sub: '.*' }, as: 'user/a', groupsFrom: at }] });
      expect(await ask(written(header, claims, issuer.rsa), by)).toBe('user/a');
      expect(await ask(written(header, { ...claims, ...elsewhereToo }, issuer.rsa), by)).toContain('is kept elsewhere');
    }
  });

  test.each(odd)('for %s gives no certificate without the groups that narrow it', async (_what, more, reason) => {
    const by = verifierOf({ rules: [{ match: { sub: '.*' }, as: 'user/a', groupsFrom: 'groups' }] });
    expect(await ask(written(header, { ...claims, ...more }, issuer.rsa), by)).toContain(reason);
  });
});

const publicPem = issuer.rsa.export({ format: 'jwk' });
const rsaPublicPem = generateKeyPairSync('rsa', { modulusLength: 2048 }).publicKey.export({
  type: 'spki',
  format: 'pem',
});
const other = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey;
const json = (value: object): string => JSON.stringify(value);
const part = (token: string, index: number): string => token.split('.')[index] ?? '';

describe('an attack', () => {
  test('is measured against a token that is taken', async () => {
    expect(await ask(good)).toBe('worker/etl-1');
    const more = { k: { sub: 'a', aud: [{ sub: 'b' }, { sub: 'c' }, 'sub', 'sub'] }, l: {}, a: 1 };
    for (const name of ['JWT', 'jwt', 'application/JWT', undefined])
      expect(await ask(written({ ...header, typ: name }, { ...more, ...claims }, issuer.rsa))).toBe('worker/etl-1');
    const longest = { ...claims, sub: `worker:${'a'.repeat(40)}`, jti: 'a'.repeat(256) };
    expect(await ask(written(header, longest, issuer.rsa))).toBe(`worker/${'a'.repeat(40)}`);
  });

  test.each<[string, string | Promise<string>, string]>([
    ['no signature', `${part(written({ ...header, alg: 'none' }, claims, issuer.rsa), 0)}.${part(good, 1)}.`, 'no JWS'],
    ['alg none with a signature', written({ ...header, alg: 'none' }, claims, issuer.rsa), 'signed with "none"'],
    ['alg nOnE', written({ ...header, alg: 'nOnE' }, claims, issuer.rsa), 'signed with "nOnE"'],
    ['HS256 with the public key as secret', written({ ...header, alg: 'HS256' }, claims, json(publicPem)), '"HS256"'],
    ['HS256 with a PEM as secret', written({ ...header, alg: 'HS256' }, claims, rsaPublicPem), '"HS256"'],
    ['another key', written(header, claims, other), 'signature verification failed'],
    [
      'a changed claim',
      `${part(good, 0)}.${part(written(header, { ...claims, sub: 'worker:x' }, other), 1)}.${part(good, 2)}`,
      'signature',
    ],
    [
      'the key of another algorithm',
      written({ alg: 'ES256', kid: 'rsa' }, claims, issuer.ec),
      'no key of the issuer fits',
    ],
    [
      'the algorithm of another key',
      written({ alg: 'RS256', kid: 'ec' }, claims, issuer.rsa),
      'no key of the issuer fits',
    ],
    [
      'an algorithm that its key is not for',
      written({ alg: 'RS512', kid: 'rsa' }, claims, issuer.rsa),
      'no key of the issuer fits',
    ],
    ['no kid, and no key of the issuer', written({ alg: 'RS256' }, claims, other), 'signature'],
    ['an empty kid', written({ ...header, kid: '' }, claims, issuer.rsa), 'odd kid'],
    ['a kid as long as a page', written({ ...header, kid: 'a'.repeat(257) }, claims, issuer.rsa), 'odd kid'],
    ['no algorithm', written({ kid: 'rsa' }, claims, issuer.rsa), 'no alg'],
    ['a kid that is no text', written({ ...header, kid: ['rsa'] }, claims, issuer.rsa), 'odd kid'],
    ['jku', written({ ...header, jku: 'https://evil.example/jwks' }, claims, issuer.rsa), 'has jku'],
    ['jwk', written({ ...header, jwk: publicJwk(other, {}) }, claims, other), 'has jwk'],
    ['x5u', written({ ...header, x5u: 'https://evil.example/c' }, claims, issuer.rsa), 'has x5u'],
    ['x5c', written({ ...header, x5c: ['MII'] }, claims, issuer.rsa), 'has x5c'],
    ['crit', written({ ...header, crit: ['exp'] }, claims, issuer.rsa), 'has crit'],
    ['b64', written({ ...header, b64: true }, claims, issuer.rsa), 'has b64'],
    ['an access token', written({ ...header, typ: 'at+jwt' }, claims, issuer.rsa), 'type is "at+jwt"'],
    ['a type that begins like a token’s', written({ ...header, typ: 'JWTx' }, claims, issuer.rsa), 'type is "JWTx"'],
    ['a type that is no text', written({ ...header, typ: ['JWT'] }, claims, issuer.rsa), 'type is no text'],
    ['a logout token', written({ ...header, typ: 'logout+jwt' }, claims, issuer.rsa), 'logout+jwt'],
    ['a nested token', written({ ...header, cty: 'JWT' }, good, issuer.rsa), 'has cty'],
    ['a token as payload', written(header, good, issuer.rsa), 'no JSON'],
    [
      'an encrypted token',
      new CompactEncrypt(Buffer.from(json(claims)))
        .setProtectedHeader({ alg: 'dir', enc: 'A256GCM' })
        .encrypt(new Uint8Array(32)),
      'JWE',
    ],
    ['an audience that is not ours', written(header, { ...claims, aud: 'https://gate.example' }, issuer.rsa), '"aud"'],
    ['an audience that begins like ours', written(header, { ...claims, aud: `${AUDIENCE}0` }, issuer.rsa), '"aud"'],
    ['ours among others', written(header, { ...claims, aud: [AUDIENCE, 'https://b'] }, issuer.rsa), '"https://b", too'],
    ['a list in the list', written(header, { ...claims, aud: [[AUDIENCE]] }, issuer.rsa), '"aud"'],
    ['no audience', written(header, without('aud'), issuer.rsa), 'missing required "aud"'],
    [
      'another issuer',
      written(header, { ...claims, iss: 'https://evil.example' }, issuer.rsa),
      '"https://evil.example"',
    ],
    [
      'an issuer with a slash behind',
      written(header, { ...claims, iss: `${ISS}/` }, issuer.rsa),
      'none of enroll.issuers',
    ],
    ['a list of issuers', written(header, { ...claims, iss: [ISS] }, issuer.rsa), 'its issuer is nobody'],
    ['no issuer', written(header, without('iss'), issuer.rsa), 'its issuer is nobody'],
    ['expired', written(header, { ...claims, exp: NOW - 31 }, issuer.rsa), '"exp"'],
    ['no end', written(header, without('exp'), issuer.rsa), 'missing required "exp"'],
    ['an end that is text', written(header, { ...claims, exp: `${NOW + 300}` }, issuer.rsa), '"exp"'],
    ['no beginning', written(header, without('iat'), issuer.rsa), '"iat"'],
    ['from the future', written(header, { ...claims, iat: NOW + 31 }, issuer.rsa), '"iat"'],
    ['not yet valid', written(header, { ...claims, nbf: NOW + 31 }, issuer.rsa), '"nbf"'],
    [
      'older than an hour, with an end in ten years',
      written(header, { ...claims, iat: NOW - 3_631, exp: NOW + 3e8 }, issuer.rsa),
      '"iat"',
    ],
    [
      'older than an hour, without end',
      written(header, json({ ...claims, iat: NOW - 3_631 }).replace(`${NOW + 300}`, '1e999'), issuer.rsa),
      '"iat"',
    ],
    ['no sub', written(header, without('sub'), issuer.rsa), 'missing required "sub"'],
    ['an empty sub', written(header, { ...claims, sub: '' }, issuer.rsa), 'its sub is'],
    [
      'a sub as long as a page',
      written(header, { ...claims, sub: `worker:${'a'.repeat(506)}` }, issuer.rsa),
      'its sub is',
    ],
    ['an empty jti', written(header, { ...claims, jti: '' }, issuer.rsa), 'its jti is'],
    ['a jti as long as a page', written(header, { ...claims, jti: 'a'.repeat(257) }, issuer.rsa), 'its jti is'],
    ['a sub that is a list', written(header, { ...claims, sub: ['worker:etl-1'] }, issuer.rsa), 'its sub is'],
    ['a jti that is a number', written(header, { ...claims, jti: 7 }, issuer.rsa), 'its jti is "7"'],
    ['a claim twice', written(header, json(claims).replace('{', '{"sub":"worker:x",'), issuer.rsa), 'has "sub" twice'],
    [
      'a claim twice, once escaped',
      written(header, json(claims).replace('{', '{"\\u0073ub":"worker:x",'), issuer.rsa),
      'has "sub" twice',
    ],
    [
      'a claim twice, on both sides of an object',
      written(header, json(claims).replace('{', '{"sub":"worker:x","k":{"a":[{}]},'), issuer.rsa),
      'has "sub" twice',
    ],
    [
      'a member of a claim twice',
      written(header, json(claims).replace('{', '{"k":[{"a":1,"a":2}],'), issuer.rsa),
      'has "a" twice',
    ],
    [
      'a header member twice',
      written(json(header).replace('{', '{"alg":"none",'), claims, issuer.rsa),
      'has "alg" twice',
    ],
    ['a claim without a prototype', written(header, json(claims).replace('"sub"', '"__proto__"'), issuer.rsa), '"sub"'],
    ['null as claims', written(header, 'null', issuer.rsa), 'no JSON object'],
    ['a list as claims', written(header, '[1]', issuer.rsa), 'no JSON object'],
    [
      'claims that are no UTF-8',
      `${part(good, 0)}.${Buffer.from([0x7b, 0xff, 0x7d]).toString('base64url')}.${part(good, 2)}`,
      'no JSON in UTF-8',
    ],
    [
      'claims that are nested deep',
      written(header, `{"a":${'['.repeat(100)}${']'.repeat(100)}}`, issuer.rsa),
      'too deep',
    ],
    ['padding', `${good}=`, 'no JWS'],
    ['bits left over', `${good.slice(0, -1)}${good.endsWith('A') ? 'B' : 'x'}.`, 'no JWS'],
    ['a line end', `${good}\n`, 'no JWS'],
    ['nothing', '', 'no JWS'],
    ['dots', '..', 'no JWS'],
    ['the general form', json({ payload: part(good, 1), signatures: [] }), 'no JWS'],
    ['too long', written(header, { ...claims, x: 'x'.repeat(12_000) }, issuer.rsa), 'longer than'],
  ])('with %s is refused, and the reason names it', async (_what, token, reason) => {
    const verdict = await ask(await token);
    expect(verdict).toContain(reason);
    expect(verdict).not.toContain(part(await token, 2) || 'x'.repeat(100));
  });

  test.each([
    ['a slash', 'worker:a/b', 'does not match'],
    ['dots', 'worker:..', 'does not match'],
    ['a look-alike letter', 'worker:etl-\u0661', 'does not match'],
    ['text that turns round', 'worker:etl\u202e1', 'unseen characters'],
    ['a line end', 'worker:etl-1\n', 'unseen characters'],
    ['a great length', `worker:${'a'.repeat(400)}`, 'too long'],
  ])('by a subject with %s is refused, its value escaped', async (_what, sub, reason) => {
    const verdict = await ask(written(header, { ...claims, sub }, issuer.rsa));
    expect(verdict).toContain(reason);
    expect(verdict).toMatch(/^[\x20-\x7e…]*$/);
  });

  test('by a place within a claim is of an object’s own members, never of a list’s or of what each object has', async () => {
    const named = async (at: string, k: unknown) =>
      await ask(
        written(header, { ...claims, k }, issuer.rsa),
        verifierOf({ rules: [{ match: { [at]: 'a' }, as: 'worker/k' }] }),
      );
    expect(await named('/k/x', { x: 'a' })).toBe('worker/k');
    expect(await named('/k/x~1y', { 'x/y': 'a' })).toBe('worker/k');
    for (const [at, k] of [
      ['/k/0', ['a']],
      ['/k/length', 'a'],
      ['/k/x', null],
      ['/k/constructor/name', {}],
    ] as const)
      expect(await named(at, k), at).toContain('there is no');
  });

  test('by a claim that would take more than its place in the name is refused, and no other rule is asked', async () => {
    const rules = [
      { match: { sub: 'worker:(.*)' }, as: 'worker/team/$1' },
      { match: { sub: '.*' }, as: 'worker/anybody' },
    ];
    const by = verifierOf({ rules });
    for (const [sub, reason] of [
      ['worker:a/b', 'more than one segment'],
      ['worker:..', 'no name of an identity'],
      ['worker:A', 'no name of an identity'],
      ['worker:', 'no name of an identity'],
    ] as const)
      expect(await ask(written(header, { ...claims, sub }, issuer.rsa), by)).toContain(reason);
    expect(await ask(written(header, { ...claims, sub: 'x' }, issuer.rsa), by)).toBe('worker/anybody');
    const whole = verifierOf({ rules: [{ match: { sub: '(.*)' }, as: '$1' }] });
    expect(await ask(written(header, { ...claims, sub: 'gate/inbound' }, issuer.rsa), whole)).toContain('names a gate');
  });
});

test('a token with the kid of no key is refused, or put off while that was looked up just now', async () => {
  const verdict = await verifier.verify(
    written({ ...header, kid: '../../etc/passwd' }, claims, issuer.rsa),
    NOW * 1000,
    KEY,
  );
  expect(['refuse', 'later']).toContain(verdict.kind);
});

describe('a token without a kid', () => {
  test('is taken where one key fits, and refused where it could be of several', async () => {
    const from = testIssuer();
    const token = written({ alg: 'RS256' }, claims, issuer.rsa);
    expect(await ask(token, verifierOf({}, from))).toBe('worker/etl-1');
    from.publish(
      [publicJwk(issuer.rsa, { kid: 'a' }), publicJwk(other, { kid: 'b' })].map((key) => ({ ...key, alg: 'RS256' })),
    );
    expect(await ask(token, verifierOf({}, from))).toContain('which of several keys');
  });
});

describe('the times of a token', () => {
  test('are taken with the tolerance that is configured, and not a second more', async () => {
    const at = (more: object) => written(header, { ...claims, ...more }, issuer.rsa);
    for (const [token, taken] of [
      [at({ exp: NOW - 29 }), true],
      [at({ iat: NOW + 30 }), true],
      [at({ nbf: NOW + 30 }), true],
      [at({ iat: NOW - 3_630 }), true],
    ] as const)
      expect((await ask(token)) === 'worker/etl-1').toBe(taken);
    const strict = verifierOf({ clockTolerance: '0s' });
    expect(await ask(at({ exp: NOW }), strict)).toContain('"exp"');
    expect(await ask(at({ exp: NOW + 1 }), strict)).toBe('worker/etl-1');
  });

  test('say when it may be forgotten: when nobody would take it any more, whatever the configuration says by then', async () => {
    const ends = async (more: object) => {
      const verdict = await verifier.verify(written(header, { ...claims, ...more }, issuer.rsa), NOW * 1000, KEY);
      return verdict.kind === 'verified' ? verdict.endsAt / 1000 - NOW : null;
    };
    expect(await ends({})).toBe(300 + 300 + 600);
    expect(await ends({ exp: NOW + 3e8 })).toBe(7 * 86_400 + 300 + 600);
    const least = { maxAge: '7d', clockTolerance: '5m' };
    expect(verifierOf(least)).toBeDefined();
    expect(() => verifierOf({ ...least, maxAge: '8d' })).toThrow('from 1m to 7d');
    expect(() => verifierOf({ ...least, clockTolerance: '6m' })).toThrow('from 0s to 5m');
  });
});
