import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { CertgateError, catalogue } from '../../src/errors.ts';
import {
  type CertificateFacts,
  compileRules,
  defaultRules,
  type IdentityRule,
  identify,
} from '../../src/identity/identify.ts';
import { isIdentityName, kindOf, spiffeUri } from '../../src/identity/name.ts';
import { identityName, trustDomain } from './names.ts';

const TD = 'prefect.example';
type Subject = CertificateFacts['subject'];
type Names = CertificateFacts['subjectAltNames'];

const facts = (subject: Subject, subjectAltNames: Names = []): CertificateFacts => ({
  subject,
  subjectAltNames,
  serial: '4f',
  issuer: 'aa',
});
const uris = (...values: readonly string[]): Names => values.map((value) => ({ type: 'URI', value }));
const ask = (certificate: CertificateFacts, rules: readonly IdentityRule[] = defaultRules, domain = TD) =>
  identify(certificate, compileRules(rules), domain);
/** The name, or the code of the refusal. */
const who = (certificate: CertificateFacts, rules: readonly IdentityRule[] = defaultRules, domain = TD): string => {
  const found = ask(certificate, rules, domain);
  return found.ok ? found.identity : found.code;
};

describe('by the default rule', () => {
  test('any name in any trust domain comes back from its SPIFFE ID', () => {
    fc.assert(
      fc.property(trustDomain, identityName, (domain, name) => {
        const found = ask(facts([], uris(spiffeUri(domain, name))), defaultRules, domain);
        const values = [
          ['URI', spiffeUri(domain, name)],
          ['issuer', 'aa'],
        ];
        expect(found).toEqual({ ok: true, identity: name, rule: 'identity.rules[0]', groups: [], values });
      }),
    );
  });

  test('no text that is not a name ever yields an identity', () => {
    const piece = fc.constantFrom(
      'worker',
      'user',
      'gate',
      '/',
      '//',
      'a',
      '-',
      '.',
      '..',
      '%2f',
      'A',
      '\0',
      ' ',
      '?',
      '#',
      '\u0430',
    );
    const near = fc.array(piece, { maxLength: 8 }).map((parts) => parts.join(''));
    fc.assert(
      fc.property(fc.oneof(near, fc.string(), fc.string({ unit: 'binary' })), (text) => {
        const found = ask(facts([], uris(`spiffe://${TD}/${text}`)));
        const client = isIdentityName(text) && kindOf(text) !== 'gate';
        expect(found.ok ? found.identity : null).toBe(client ? text : null);
      }),
      { numRuns: 2000 },
    );
  });

  test('no URI but the SPIFFE ID of this trust domain ever yields an identity', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.webUrl(),
          fc.string(),
          trustDomain.map((domain) => `spiffe://${domain}/worker/x`),
        ),
        (uri) => {
          const found = ask(facts([], uris(uri)));
          expect(found.ok).toBe(uri === `spiffe://${TD}/worker/x`);
        },
      ),
    );
  });

  test('a certificate without a SPIFFE ID is nobody, whatever its subject', () => {
    expect(ask(facts([['CN', 'worker/etl-1']]))).toEqual({
      ok: false,
      code: 'CG_IDENTITY_NONE',
      reason: 'identity.rules[0]: no SPIFFE ID',
    });
  });

  test('the certificate of a gate may not act as a client', () => {
    expect(who(facts([], uris(`spiffe://${TD}/gate/host`)))).toBe('CG_IDENTITY_RESERVED');
  });
});

describe('two SPIFFE IDs', () => {
  test('are refused, whatever they are, in whatever order, by whatever rules', () => {
    const id = fc.oneof(
      identityName.map((name) => `spiffe://${TD}/${name}`),
      fc.constantFrom('spiffe:', 'SPIFFE://x/y', 'spiffe://other.example/worker/x'),
    );
    const rules = fc.constantFrom<readonly IdentityRule[]>(
      defaultRules,
      [{ from: 'CN', match: '(.+)', as: 'worker/$1' }],
      [{ from: 'URI', match: '(.+)', as: '$1' }, { from: 'spiffe' }],
    );
    const names = fc
      .tuple(id, id, fc.array(fc.webUrl(), { maxLength: 2 }))
      .chain(([one, two, others]) => fc.shuffledSubarray([one, two, ...others], { minLength: 2 + others.length }));
    fc.assert(
      fc.property(names, rules, (shuffled, ordered) => {
        expect(who(facts([['CN', 'etl-1']], uris(...shuffled)), ordered)).toBe('CG_IDENTITY_AMBIGUOUS');
      }),
    );
  });
});

describe('rules for other attributes', () => {
  const byCn: IdentityRule = { from: 'CN', match: 'etl-([a-z0-9]+)', as: 'worker/etl-$1' };

  test.each<[string, IdentityRule, CertificateFacts, string]>([
    ['a CN', byCn, facts([['CN', 'etl-7']]), 'worker/etl-7'],
    [
      'an OU',
      { from: 'OU', match: '(?<team>[a-z]+) team', as: 'service/$<team>/x' },
      facts([['OU', 'data team']]),
      'service/data/x',
    ],
    ['an O', { from: 'O', match: 'Example (\\w+)', as: 'user/$1' }, facts([['O', 'Example alice']]), 'user/alice'],
    [
      'a DNS name',
      { from: 'DNS', match: '([a-z0-9-]+)\\.workers\\.example', as: 'worker/$1' },
      facts([], [{ type: 'DNS', value: 'etl-1.workers.example' }]),
      'worker/etl-1',
    ],
    [
      'an e-mail address',
      { from: 'email', match: '([a-z.]+)@example\\.com', as: 'user/$1' },
      facts([], [{ type: 'email', value: 'alice@example.com' }]),
      'user/alice',
    ],
    [
      'a URI',
      { from: 'URI', match: 'urn:worker:(.+)', as: 'worker/$1' },
      facts([], uris('urn:worker:etl-1')),
      'worker/etl-1',
    ],
    [
      'a SPIFFE ID of another trust domain',
      { from: 'URI', match: 'spiffe://other\\.example/(.+)', as: '$1' },
      facts([], uris('spiffe://other.example/worker/etl-1')),
      'worker/etl-1',
    ],
  ])('read %s', (_, rule, certificate, name) => {
    expect(who(certificate, [rule])).toBe(name);
  });

  test('never read the attribute of another name', () => {
    const elsewhere = facts(
      [
        ['OU', 'etl-7'],
        ['2.5.4.3', 'etl-7'],
        ['cn', 'etl-7'],
      ],
      [
        { type: 'DNS', value: 'etl-7' },
        { type: 'email', value: 'etl-7' },
        { type: 'other', value: 'etl-7' },
      ],
    );
    expect(who(elsewhere, [byCn])).toBe('CG_IDENTITY_NONE');
  });

  test('never read an e-mail address in the subject, where anything may stand', () => {
    const rule: IdentityRule = { from: 'email', match: '(.+)@x', as: 'user/$1' };
    expect(who(facts([['emailAddress', 'alice@x']]), [rule])).toBe('CG_IDENTITY_NONE');
  });

  test('take a value that occurs twice for one, and refuse two that differ', () => {
    expect(
      who(
        facts([
          ['CN', 'etl-7'],
          ['CN', 'etl-7'],
        ]),
        [byCn],
      ),
    ).toBe('worker/etl-7');
    expect(
      who(
        facts([
          ['CN', 'etl-7'],
          ['CN', 'x'],
        ]),
        [byCn],
      ),
    ).toBe('CG_IDENTITY_AMBIGUOUS');
    expect(
      who(
        facts([
          ['CN', 'etl-7'],
          ['CN', 'ETL-7'],
        ]),
        [byCn],
      ),
    ).toBe('CG_IDENTITY_AMBIGUOUS');
  });

  test.each<[string, string, string, string]>([
    ['a name with capitals', '(.+)', 'worker/$1', 'ETL'],
    ['a name too long', '(.+)', 'worker/$1', 'a'.repeat(200)],
    ['an empty capture', 'x(.*)', 'worker/$1', 'x'],
    ['a group that took no part', '(a)|b', 'worker/$1', 'b'],
    ['a slash in a capture that is a part of the name', '(.+)', 'worker/$1', 'a/b'],
    ['a kind from a capture that is none', '([a-z]+)-([a-z]+)', '$1/$2', 'root-x'],
  ])('refuse %s, and no later rule is asked', (_, match, as, value) => {
    const later: IdentityRule = { from: 'OU', match: '(.+)', as: 'worker/$1' };
    expect(
      who(
        facts([
          ['CN', value],
          ['OU', 'etl'],
        ]),
        [{ from: 'CN', match, as }, later],
      ),
    ).toBe('CG_IDENTITY_ODD');
  });

  test('refuse a name of kind gate that a capture makes', () => {
    expect(who(facts([['CN', 'gate/x']]), [{ from: 'CN', match: '(.+)', as: '$1' }])).toBe('CG_IDENTITY_RESERVED');
  });

  test('take a value of 256 characters that can all be seen, and nothing else, whatever the pattern', () => {
    const any: IdentityRule = { from: 'CN', match: '.*', as: 'worker/any' };
    expect(who(facts([['CN', 'a'.repeat(256)]]), [any])).toBe('worker/any');
    for (const odd of ['a'.repeat(257), 'a\u202eb', 'a\0'])
      expect(who(facts([['CN', odd]]), [any])).toBe('CG_IDENTITY_ODD');
  });

  test('let a whole name through a template that is one capture', () => {
    expect(who(facts([['CN', 'service/data/ci']]), [{ from: 'CN', match: '(.+)', as: '$1' }])).toBe('service/data/ci');
  });

  test('never yield anything but the name of a client, whatever the value', () => {
    const rules: readonly IdentityRule[] = [
      { from: 'CN', match: '(.*)', as: 'worker/$1' },
      { from: 'OU', match: '(.*)/(.*)', as: '$1/$2' },
      { from: 'O', match: '(.*)', as: '$1' },
    ];
    const piece = fc.constantFrom('worker', 'gate', '/', 'a', '-', '.', '\n', '\u202e', '\0', 'A', '%', ' ');
    const value = fc.oneof(
      fc.array(piece, { maxLength: 6 }).map((parts) => parts.join('')),
      fc.string({ unit: 'binary' }),
    );
    const attribute = fc.tuple(fc.constantFrom('CN', 'OU', 'O'), value);
    fc.assert(
      fc.property(attribute, fc.shuffledSubarray([...rules], { minLength: 3 }), (one, ordered) => {
        const found = ask(facts([one]), ordered);
        if (found.ok) {
          expect(isIdentityName(found.identity)).toBe(true);
          expect(kindOf(found.identity)).not.toBe('gate');
          expect(found.identity).toContain(one[1]);
        } else expect(found.reason).toMatch(/^[\x20-\x7e\u2026]*$/);
      }),
      { numRuns: 2000 },
    );
  });
});

describe('the order of the rules', () => {
  const from = {
    CN: { from: 'CN', match: '(.+)', as: 'worker/$1' },
    OU: { from: 'OU', match: '(.+)', as: 'user/$1' },
  } as const;
  const spiffe: IdentityRule = { from: 'spiffe' };
  const expected = { CN: 'worker/a', OU: 'user/b', spiffe: 'service/c' };

  test('decides: the first that finds a name wins, and the answer says which', () => {
    const rules = fc.shuffledSubarray([from.CN, from.OU, spiffe], { minLength: 1 });
    const present = fc.record({ CN: fc.boolean(), OU: fc.boolean(), spiffe: fc.boolean() });
    fc.assert(
      fc.property(rules, present, (ordered, has) => {
        const subject: Array<readonly [string, string]> = [];
        if (has.OU) subject.push(['OU', 'b']);
        if (has.CN) subject.push(['CN', 'a']);
        const found = ask(facts(subject, has.spiffe ? uris(`spiffe://${TD}/service/c`) : []), ordered);
        const index = ordered.findIndex((rule) => has[rule.from]);
        const winner = ordered[index];
        if (winner === undefined) expect(found).toMatchObject({ ok: false, code: 'CG_IDENTITY_NONE' });
        else
          expect(found).toMatchObject({
            ok: true,
            identity: expected[winner.from],
            rule: `identity.rules[${index}]`,
          });
      }),
    );
  });

  test('is followed past rules that find nothing, never past one that finds something doubtful', () => {
    const foreign = uris('spiffe://other.example/worker/x');
    expect(who(facts([['CN', 'a']], foreign), [spiffe, from.CN])).toBe('CG_IDENTITY_FOREIGN');
    expect(who(facts([['CN', 'a']], foreign), [from.CN, spiffe])).toBe('worker/a');
    expect(
      who(
        facts(
          [
            ['CN', 'a'],
            ['CN', 'b'],
          ],
          uris(`spiffe://${TD}/user/x`),
        ),
        [from.CN, spiffe],
      ),
    ).toBe('CG_IDENTITY_AMBIGUOUS');
  });
});

describe('a refusal', () => {
  test('has a code of the catalogue that makes an error of its reason, a 403', () => {
    for (const certificate of [
      facts([]),
      facts([], uris('spiffe://a/b', 'spiffe://a/b')),
      facts([], uris('spiffe://other.example/worker/x')),
      facts([], uris(`spiffe://${TD}/x`)),
      facts([], uris(`spiffe://${TD}/gate/x`)),
    ]) {
      const found = ask(certificate);
      if (found.ok) throw new Error(`it is ${found.identity}`);
      expect(catalogue).toHaveProperty(found.code);
      const error = new CertgateError(found.code, { reason: found.reason });
      expect(error.status).toBe(403);
      expect(error.message).toContain(found.reason);
    }
  });

  test('names the value, escaped, and why each rule passed it by', () => {
    const rules: readonly IdentityRule[] = [
      { from: 'CN', match: 'etl-\\d', as: 'worker/etl' },
      { from: 'DNS', match: 'x', as: 'worker/x' },
      { from: 'spiffe' },
    ];
    expect(ask(facts([['CN', 'é"x']]), rules)).toMatchObject({
      reason:
        'identity.rules[0]: CN "\\u{e9}\\"x" does not match "etl-\\\\d"; identity.rules[1]: no DNS; identity.rules[2]: no SPIFFE ID',
    });
  });
});

test('a SPIFFE ID that is none by its form is told as odd, and not as of another trust domain', () => {
  for (const value of ['spiffe://Prefect.example/user/alice', 'spiffe:///user/alice', 'spiffe://prefect.example']) {
    const certificate = { subject: [], subjectAltNames: [{ type: 'URI', value } as const], serial: '4f', issuer: 'aa' };
    expect([value, identify(certificate, compileRules([{ from: 'spiffe' }]), 'prefect.example')]).toMatchObject([
      value,
      { ok: false, code: 'CG_IDENTITY_ODD' },
    ]);
  }
});
