// The settings of `enroll.issuers`: whose identity tokens (JWT) the gate takes, and whom they name. A list, so it is not a
// part of the table of settings like the others: what is wrong inside of it is found here, with the place of each part.
import { isAbsolute, resolve } from 'node:path';
import * as z from 'zod/mini';
import { claimRuleProblem } from '../identity/claim-rules.ts';
import { parseDuration } from './duration.ts';
import type { Given, Problem } from './given.ts';
import { nearest } from './nearest.ts';
import { withDefault } from './setting.ts';

/** What a token may be signed with. Never none, never a shared secret. */
const TOKEN_ALGORITHMS = [
  ...['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'],
  ...['ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519'],
] as const;
/** The most that these may be set to: a used token is kept on record as long as any setting could have it taken. */
export const MOST = { maxAge: '7d', clockTolerance: '5m' } as const;
const PATHS = ['jwksFile', 'caFile', 'tokenFile'] as const;

const words = (wants: string, accepts: (value: string) => boolean) => z.string(wants).check(z.refine(accepts, wants));
const isHttps = (text: string): boolean => {
  const url = URL.parse(text);
  return url?.protocol === 'https:' && url.username === '' && url.password === '' && url.hash === '';
};
const plain = (most: number) => (text: string) => text.length > 0 && text.length <= most && !/[\p{C}\p{Z}]/u.test(text);
const optional = <S extends z.ZodMiniType>(schema: S) => withDefault(z.nullable(schema), null);
const aPath = () => optional(words('a path', (text) => text !== '' && !text.includes('\0')));

const duration = (min: string, max: string) => {
  const wants = `a duration such as 30s, 5m or 24h, from ${min} to ${max}`;
  const [least, most] = [parseDuration(min) ?? 0, parseDuration(max) ?? 0];
  return z.pipe(
    z.string(wants),
    z.transform((written, context) => {
      const read = parseDuration(written);
      if (read !== null && read >= least && read <= most) return read;
      context.issues.push({ code: 'custom', message: wants, input: written });
      return z.NEVER;
    }),
  );
};
const time = (fallback: string, min: string, max: string) => z.prefault(duration(min, max), fallback);

const audience = 'a text that stands in the tokens as aud, or a list of them; best the URL of this gate';
const match = "a map of claims to patterns, e.g. {sub: 'system:serviceaccount:prod:etl-.*'}";
const ruleShape = {
  match: z.record(z.string(), z.string(match).check(z.minLength(1, match)), match),
  as: words("a name with captures, e.g. 'worker/$1' or 'user/$<name>'", (text) => text !== ''),
  groups: withDefault(z.array(z.string('a list of groups'), 'a list of groups'), []),
  groupsFrom: optional(words('a claim, e.g. groups', (text) => text !== '')),
  groupsMatch: optional(words("a pattern, e.g. 'prefect-.*'", (text) => text !== '')),
  ttl: optional(duration('5m', '366d')),
  renew: optional(z.boolean('true or false')),
};
const ruleSchema = z.strictObject(ruleShape, "a rule, e.g. {match: {sub: 'repo:acme/etl:.*'}, as: service/etl}");

const loginSchema = z.strictObject(
  {
    clientId: words('the client_id that the issuer knows certgate by', plain(256)),
    scopes: withDefault(
      z.array(
        words('a list of scopes', (text) => /^[\x21\x23-\x5b\x5d-\x7e]{1,100}$/.test(text)),
        'a list of scopes',
      ),
      ['openid', 'profile', 'email'],
    ),
    device: withDefault(z.boolean('true or false'), false),
  },
  '{clientId: …}',
);

const ISSUER_NAME = 'a short name for the log and the record, of a-z, 0-9 and -';
const issuerShape = {
  name: words(ISSUER_NAME, (text) => /^[a-z0-9][a-z0-9-]{0,31}$/.test(text)),
  issuer: words('what stands in the tokens as iss, letter by letter', plain(512)),
  audience: z.pipe(
    z.union(
      [words(audience, plain(512)), z.array(words(audience, plain(512))).check(z.minLength(1, audience))],
      audience,
    ),
    z.transform((written): readonly string[] => (typeof written === 'string' ? [written] : written)),
  ),
  jwksUrl: optional(words('an https:// URL', isHttps)),
  jwksFile: aPath(),
  caFile: aPath(),
  tokenFile: aPath(),
  algorithms: withDefault(
    z
      .array(z.enum(TOKEN_ALGORITHMS, `one of ${TOKEN_ALGORITHMS.join(', ')}`), 'a list of algorithms')
      .check(z.minLength(1, 'a list of algorithms')),
    [...TOKEN_ALGORITHMS],
  ),
  maxAge: time('1h', '1m', MOST.maxAge),
  clockTolerance: time('30s', '0s', MOST.clockTolerance),
  uses: withDefault(z.int('a whole number from 1 to 100').check(z.minimum(1), z.maximum(100)), 1),
  login: optional(loginSchema),
  rules: z
    .array(ruleSchema, 'a list of rules')
    .check(z.minLength(1, 'at least one rule'), z.maxLength(100, '100 rules at most')),
};
const issuerSchema = z.strictObject(issuerShape, '{name: …, issuer: …, audience: …, rules: […]}');

/** Lifetimes of certificates where a rule says none, ms: for machines, and for people, who log in for a working day. */
const MACHINES_TTL = 24 * 3_600_000;
const PEOPLES_TTL = 8 * 3_600_000;

const issuerWithTtls = z.pipe(
  issuerSchema,
  z.transform((issuer) => {
    const usual = issuer.login === null ? MACHINES_TTL : PEOPLES_TTL;
    return { ...issuer, rules: issuer.rules.map((rule) => ({ ...rule, ttl: rule.ttl ?? usual })) };
  }),
);

/** One issuer, durations in ms, paths absolute. */
export type IdentityIssuer = z.output<typeof issuerWithTtls>;

export const issuersSchema = z.array(issuerWithTtls, 'a list of issuers').check(z.maxLength(20, '20 issuers at most'));

/** What the schema found wrong inside of the list, part by part. */
export function issuerShapeProblem(one: Given, issue: z.core.$ZodIssue): Problem {
  const unknown = issue.code === 'unrecognized_keys' ? issue.keys[0] : undefined;
  const inside = unknown === undefined ? issue.path : [...issue.path, unknown];
  const name = one.leaf.path + inside.map((key) => (typeof key === 'number' ? `[${key}]` : `.${String(key)}`)).join('');
  const place = one.placeOf(inside);
  if (unknown !== undefined) {
    const within = inside.includes('rules') ? ruleSchema : inside.includes('login') ? loginSchema : issuerSchema;
    const known = Object.keys(within.shape);
    const near = nearest(unknown, known);
    const remedy = near === null ? `the keys are ${known.join(', ')}` : `did you mean ${near}?`;
    return { place, problem: `there is no setting ${name}`, remedy };
  }
  const part = inside.reduce<unknown>((at, key) => (at as Record<PropertyKey, unknown> | undefined)?.[key], one.value);
  const is = part === undefined ? 'missing' : JSON.stringify(part).slice(0, 120);
  return { place, problem: `${name} is ${is}`, remedy: `it must be ${issue.message}; see docs/identity-tokens.md` };
}

/** What is wrong with issuers whose parts are right each by itself. `given` has passed the schema. */
export function issuerProblems(given: Given): Problem[] {
  const issuers = issuersSchema.parse(given.value);
  const problems: Problem[] = [];
  const add = (inside: readonly PropertyKey[], problem: string, remedy: string): void => {
    const name = inside.map((key) => (typeof key === 'number' ? `[${key}]` : `.${String(key)}`)).join('');
    problems.push({ place: given.placeOf(inside), problem: `${given.leaf.path}${name}: ${problem}`, remedy });
  };
  issuers.forEach((issuer, index) => {
    const { jwksUrl, jwksFile, caFile, tokenFile } = issuer;
    const others = issuers.slice(0, index);
    if (others.some(({ name }) => name === issuer.name)) {
      add([index, 'name'], `there are two called ${issuer.name}`, 'give each a name of its own');
    }
    if (others.some((other) => other.issuer === issuer.issuer)) {
      add([index, 'issuer'], 'there is another entry for it', 'put all rules for one issuer into one entry');
    }
    if (jwksUrl !== null && jwksFile !== null) {
      add([index, 'jwksFile'], 'jwksUrl and jwksFile are two places for its keys', 'choose one');
    }
    if (jwksFile !== null && (caFile !== null || tokenFile !== null)) {
      add([index, 'jwksFile'], 'caFile and tokenFile are for keys that are fetched', 'remove them, or jwksFile');
    }
    if (jwksUrl === null && jwksFile === null && !isHttps(issuer.issuer)) {
      const remedy = 'name them: jwksUrl: https://…, or jwksFile: FILE';
      add([index, 'issuer'], `is not an https:// URL, so its keys cannot be fetched`, remedy);
    }
    const { login } = issuer;
    if (login !== null && others.some((other) => other.login !== null)) {
      add([index, 'login'], 'people can log in at only one issuer, and another has login', 'remove one of them');
    }
    if (login !== null && !issuer.audience.includes(login.clientId)) {
      const remedy = `its ID tokens have the client_id as aud: audience: [${login.clientId}]`;
      add([index, 'audience'], `has not the clientId ${login.clientId} of login`, remedy);
    }
    if (login !== null && !login.scopes.includes('openid')) {
      const remedy = `scopes: [${['openid', ...login.scopes].join(', ')}]`;
      add([index, 'login', 'scopes'], 'lacks openid, without which there is no ID token', remedy);
    }
    if (login !== null && !isHttps(issuer.issuer)) {
      add([index, 'issuer'], 'is not an https:// URL, so nobody can log in there', 'remove login');
    }
    const written = (given.value as ReadonlyArray<{ readonly rules: ReadonlyArray<{ readonly match: object }> }>)[
      index
    ];
    issuer.rules.forEach((rule, at) => {
      // The schema leaves it out, and with it what the rule asks for.
      const lost = Object.hasOwn(written?.rules[at]?.match ?? {}, '__proto__');
      const problem = lost ? 'match has __proto__, which is not a claim' : claimRuleProblem(rule);
      if (problem !== null) add([index, 'rules', at], problem, 'see docs/identity-tokens.md for rules that work');
    });
  });
  return problems;
}

/** The list with its paths made absolute; what is no list is left for the schema to refuse. */
export function withAbsolutePaths(value: unknown, base: string): unknown {
  if (!Array.isArray(value)) return value;
  return value.map((issuer: unknown) => {
    if (typeof issuer !== 'object' || issuer === null) return issuer;
    const paths = PATHS.flatMap((key) => {
      const path = (issuer as Record<string, unknown>)[key];
      return typeof path === 'string' && !isAbsolute(path) ? [[key, resolve(base, path)] as const] : [];
    });
    return { ...issuer, ...Object.fromEntries(paths) };
  });
}
