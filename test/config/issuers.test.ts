import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { loadConfig } from '../../src/config/load.ts';
import { isCertgateError } from '../../src/errors.ts';

const GOOD = [
  '    - name: ci',
  '      issuer: https://token.actions.githubusercontent.com',
  '      audience: https://gate.example:8443',
  '      rules:',
  "        - match: {repository: 'acme/(.*)', ref: refs/heads/main}",
  '          as: service/ci/$1',
];

function loaded(lines: readonly string[], env: Record<string, string> = {}) {
  const cwd = mkdtempSync(join(tmpdir(), 'certgate-config-'));
  writeFileSync(join(cwd, 'certgate.yaml'), ['enroll:', '  issuers:', ...lines, ''].join('\n'));
  return { cwd, config: () => loadConfig({ env, cwd }).enroll.issuers };
}
function problems(lines: readonly string[], env: Record<string, string> = {}): string[] {
  try {
    loaded(lines, env).config();
  } catch (error) {
    if (!isCertgateError(error, 'CG_CONFIG')) throw error;
    return error.facts.problems.map(({ place, problem, remedy }) => `${place} | ${problem} | ${remedy}`);
  }
  return [];
}
/** The good one with a line more, or one in place of another. */
const changed = (line: string, more: string) => GOOD.map((one) => (one.includes(line) ? more : one));

describe('an issuer of identity tokens', () => {
  test('needs a name, itself, an audience and rules; the rest has defaults', () => {
    expect(loaded(GOOD).config()).toEqual([
      {
        name: 'ci',
        issuer: 'https://token.actions.githubusercontent.com',
        audience: ['https://gate.example:8443'],
        jwksUrl: null,
        jwksFile: null,
        caFile: null,
        tokenFile: null,
        algorithms: expect.not.arrayContaining(['none', 'HS256']) as string[],
        maxAge: 3_600_000,
        clockTolerance: 30_000,
        uses: 1,
        login: null,
        rules: [
          {
            match: { repository: 'acme/(.*)', ref: 'refs/heads/main' },
            as: 'service/ci/$1',
            groups: [],
            groupsFrom: null,
            groupsMatch: null,
            ttl: 86_400_000,
            renew: null,
          },
        ],
      },
    ]);
  });

  test('gives machines a day, and people who log in eight hours, unless its rules say otherwise', () => {
    const login = ['      login: {clientId: "https://gate.example:8443"}'];
    const ttls = (lines: readonly string[]) =>
      loaded(lines)
        .config()
        .flatMap(({ rules }) => rules.map(({ ttl }) => ttl / 3_600_000));
    expect(ttls(GOOD)).toEqual([24]);
    expect(ttls([...GOOD, ...login])).toEqual([8]);
    expect(ttls([...GOOD, '          ttl: 12h', ...login])).toEqual([12]);
  });

  test('has its files where the configuration is', () => {
    const at = loaded([...GOOD, '      jwksFile: keys/jwks.json']);
    expect(at.config()).toMatchObject([{ jwksFile: join(at.cwd, 'keys/jwks.json') }]);
  });

  test('may stand in a variable, as JSON', () => {
    const rules = [{ match: { sub: 'a' }, as: 'worker/a' }];
    const value = JSON.stringify([{ name: 'x', issuer: 'https://idp.example', audience: ['a'], rules }]);
    expect(loaded(GOOD, { CERTGATE_ENROLL_ISSUERS: value }).config()).toMatchObject([{ name: 'x', audience: ['a'] }]);
    expect(problems(GOOD, { CERTGATE_ENROLL_ISSUERS: '[{]' })).toEqual([
      expect.stringContaining('CERTGATE_ENROLL_ISSUERS | enroll.issuers is "[{]" | it must be a list of issuers'),
    ]);
  });

  test.each<[string, readonly string[], string]>([
    ['no audience', GOOD.filter((line) => !line.includes('audience')), 'enroll.issuers[0].audience is missing'],
    [
      'an unknown key',
      changed('audience', '      audiences: a'),
      'certgate.yaml:5:18 | there is no setting enroll.issuers[0].audiences | did you mean audience?',
    ],
    ['an unknown key of a rule', [...GOOD, '          group: [a]'], 'rules[0].group | did you mean groups?'],
    [
      'a secret algorithm',
      [...GOOD, '      algorithms: [RS256, HS256]'],
      'enroll.issuers[0].algorithms[1] is "HS256" | it must be one of RS256',
    ],
    ['alg none', [...GOOD, '      algorithms: [none]'], 'algorithms[0] is "none"'],
    ['no algorithm', [...GOOD, '      algorithms: []'], 'algorithms is []'],
    [
      'plain HTTP for its keys',
      [...GOOD, '      jwksUrl: http://idp.example/jwks'],
      'jwksUrl is "http://idp.example/jwks" | it must be an https:// URL',
    ],
    ['a password in the URL', [...GOOD, '      jwksUrl: https://a:b@idp.example/jwks'], 'it must be an https:// URL'],
    [
      'keys in two places',
      [...GOOD, '      jwksUrl: https://a/b', '      jwksFile: c'],
      'jwksUrl and jwksFile are two places',
    ],
    ['a CA for a file', [...GOOD, '      jwksFile: c', '      caFile: d'], 'are for keys that are fetched'],
    [
      'no place for its keys',
      changed('issuer: ', '      issuer: kubernetes/serviceaccount'),
      'not an https:// URL, so its keys',
    ],
    [
      'a tolerance of an hour',
      [...GOOD, '      clockTolerance: 1h'],
      'clockTolerance is "1h" | it must be a duration such as 30s, 5m or 24h, from 0s to 5m',
    ],
    ['a bare number of seconds', [...GOOD, '      maxAge: 3600'], 'maxAge is 3600'],
    ['no rules', [...GOOD.slice(0, 3), '      rules: []'], 'rules is [] | it must be at least one rule'],
    ['a rule for everybody', changed('match', '        - match: {}'), 'match is empty: every token'],
    [
      'a pattern that cannot be',
      changed('match', "        - match: {repository: '(a+)+'}"),
      'match of "repository": nested quantifiers',
    ],
    [
      'a template with what is not captured',
      changed('as: ', '          as: service/$2'),
      'match "acme/(.*) refs/heads/main" has no such group',
    ],
    ['a gate’s name', changed('as: ', '          as: gate/$1'), 'does not begin with worker/, user/ or service/'],
    ['one capture twice', changed('match', "        - match: {a: '(?<x>.)', b: '(?<x>.)'}"), 'two groups called x'],
    ['a filter of nothing', [...GOOD, '          groupsMatch: a'], 'groupsMatch without groupsFrom'],
    ['an odd group', [...GOOD, "          groups: ['a,b']"], 'groups has "a,b"'],
    [
      'a login whose tokens are for another',
      [...GOOD, '      login: {clientId: x}'],
      'audience: has not the clientId x of login | its ID tokens have the client_id as aud',
    ],
    ['a login without a client', [...GOOD, '      login: {}'], 'login.clientId is missing'],
    [
      'a login where nobody can be sent',
      [
        ...changed('issuer: ', '      issuer: kubernetes/serviceaccount'),
        ...['      jwksFile: c', '      login: {clientId: "https://gate.example:8443"}'],
      ],
      'issuer: is not an https:// URL, so nobody can log in there',
    ],
    ['a user in the URL', [...GOOD, '      jwksUrl: https://a@idp.example/jwks'], 'it must be an https:// URL'],
    ['a fragment in the URL', [...GOOD, '      jwksUrl: https://idp.example/jwks#x'], 'it must be an https:// URL'],
    [
      'a token of its own for a file',
      [...GOOD, '      jwksFile: c', '      tokenFile: d'],
      'are for keys that are fetched',
    ],
    ['an empty path', [...GOOD, '      caFile: ""'], 'caFile is "" | it must be a path'],
    ['an empty audience', changed('audience', "      audience: ['']"), 'audience'],
    ['a space in what stands as iss', changed('issuer: ', '      issuer: https://idp.example/a b'), 'letter by letter'],
    ['a name for the log that is none', changed('- name', '    - name: CI'), 'a short name for the log'],
    ['a long name for the log', changed('- name', `    - name: ${'a'.repeat(33)}`), 'a short name for the log'],
    ['a scope with a quote', [...GOOD, `      login: {clientId: x, scopes: ['a"b']}`], 'scopes[0] is "a\\"b"'],
    ['a short life', [...GOOD, '          ttl: 1m'], 'ttl is "1m"'],
    [
      'a long life',
      [...GOOD, '          ttl: 367d'],
      'ttl is "367d" | it must be a duration such as 30s, 5m or 24h, from 5m to 366d',
    ],
  ])('with %s is refused, with its place and what to do', (_what, lines, words) => {
    const found = problems(lines);
    expect(found.join('\n')).toContain(words);
    expect(found[0]).toMatch(/^certgate\.yaml:\d+:\d+ \| /);
  });

  test('is named once, and has one entry', () => {
    const found = problems([...GOOD, ...GOOD]).join('\n');
    expect(found).toContain('there are two called ci');
    expect(found).toContain('there is another entry for it');
  });

  test('is the only one with a login: people are sent to one', () => {
    const login = '      login: {clientId: "https://gate.example:8443"}';
    const other = GOOD.map((line) => line.replace(': ci', ': other').replace('token.actions.githubusercontent', 'idp'));
    expect(problems([...GOOD, ...other, login])).toEqual([]);
    expect(problems([...GOOD, login, ...other, login]).join()).toContain(
      'enroll.issuers[1].login: people can log in at only one issuer, and another has login',
    );
  });

  test('is told of with all that is wrong at once', () => {
    expect(problems([...changed('audience', '      audience: []'), '      uses: 0', '      maxAge: x']).length).toBe(3);
  });

  test('is refused with the place and the words of the part that is wrong, however deep', () => {
    const login = (words: string) =>
      problems([...GOOD.slice(0, 2), '      audience: x', `      login: ${words}`, ...GOOD.slice(3)]);
    expect(login('{client_id: x}')).toEqual([
      expect.stringMatching(/^certgate\.yaml:6:14 \| enroll\.issuers\[0\]\.login\.clientId is missing \|/),
      'certgate.yaml:6:26 | there is no setting enroll.issuers[0].login.client_id | did you mean clientId?',
    ]);
    expect(login('{clientId: x, clientSecret: y}')).toEqual([
      expect.stringMatching(/\.login\.clientSecret \| the keys are clientId, scopes, device$/),
    ]);
    expect(login('{clientId: x, scopes: [email]}')).toEqual([
      'certgate.yaml:6:36 | enroll.issuers[0].login.scopes: lacks openid, without which there is no ID token | scopes: [openid, email]',
    ]);
  });

  test.each([
    ['a list that is empty', changed('audience', '      audience: []')],
    ['no issuer', ['    - ~']],
    ['a text', ['    - https://token.example']],
    ['no rule', changed('match', '        - ~').slice(0, 5)],
  ])('is refused in words that say what it must be, where %s stands', (_what, lines) => {
    const told = problems(lines);
    expect(told).toHaveLength(1);
    expect(told.join()).not.toContain('Invalid input');
  });

  test('is not one whose rule loses what it asks for, because JavaScript means something else by it', () => {
    const lines = changed('match', "        - match: {repository: 'acme/(.*)', __proto__: main}");
    expect(problems(lines)).toEqual([
      expect.stringMatching(/^certgate\.yaml:7:11 \| .*match has __proto__, which is not a claim \|/),
    ]);
    const rules = [{ match: { sub: 'a' }, as: 'worker/a' }];
    const text = JSON.stringify([{ name: 'ci', issuer: 'https://a.example', audience: 'x', rules }]);
    expect(problems(GOOD, { CERTGATE_ENROLL_ISSUERS: text })).toEqual([]);
    expect(problems(GOOD, { CERTGATE_ENROLL_ISSUERS: text.replace('"sub":"a"', '"sub":"a","__proto__":"b"') })).toEqual(
      [expect.stringMatching(/^CERTGATE_ENROLL_ISSUERS \| .*__proto__/)],
    );
  });
});
