// One setting of the configuration: its zod schema together with what people need to know about it, registered as one.
// The functions make the kinds of settings there are, so that schema.ts can read like a table. zod/mini because its
// functions are built in only where they are called: all of zod takes five times the code for the same checks.
import { availableParallelism } from 'node:os';
import * as z from 'zod/mini';
import { _default as withDefault } from 'zod/mini';
import { parseHostPort, parseNetwork, parseSocketPath, parseSystemdName } from './address.ts';
import { parseDuration } from './duration.ts';

/** What the loader, the docs and the flags need to know about one setting beside its zod schema. */
export interface Setting {
  /** How text from the environment or a flag is read, and whether relative paths in it are resolved. */
  readonly kind: 'text' | 'path' | 'address' | 'duration' | 'count' | 'switch' | 'list' | 'rules';
  /** One sentence for people. */
  readonly about: string;
  /** Completes "it must be …". */
  readonly wants: string;
  /** A value that is accepted, as it would be written in the file. */
  readonly example: string;
  /** The default as written in the file; null when there is none. */
  readonly fallback: string | null;
  /** An example of how it is written in a variable, where that is JSON. */
  readonly inEnvironment?: string;
  /** What its flag is called on the commands that take it, e.g. `--listen`. */
  readonly flag?: string;
  /** What stands for its value in a command's help, where that says more than its kind does. */
  readonly placeholder?: string;
  /** Secrets: only the environment may carry them, never the file or a flag. */
  readonly environmentOnly?: true;
}

export { withDefault };

/** Every leaf of `configSchema` is registered here. */
export const settings = z.registry<Setting>();

type Words = Pick<Setting, 'about' | 'flag'>;

interface TextRule {
  readonly kind?: 'text' | 'path' | 'address';
  readonly wants: string;
  readonly example: string;
  readonly accepts: (written: string) => boolean;
}

const MOST = 1_000_000;
const DURATION_EXAMPLE = 'a duration such as 500ms, 30s, 5m, 24h or 7d';

/** A length of time: text in, milliseconds out. */
export function duration(fallback: string, words: Words, bounds: { min: string; max: string }) {
  const [min, max] = [parseDuration(bounds.min) ?? 0, parseDuration(bounds.max) ?? 0];
  const wants = `${DURATION_EXAMPLE}, from ${bounds.min} to ${bounds.max}`;
  const milliseconds = z.pipe(
    z.string(),
    z.transform((written, context) => {
      const read = parseDuration(written);
      if (read !== null && read >= min && read <= max) return read;
      context.issues.push({ code: 'custom', message: wants, input: written });
      return z.NEVER;
    }),
  );
  const schema = z.prefault(milliseconds, fallback);
  return schema.register(settings, { ...words, kind: 'duration', wants, example: fallback, fallback });
}

const SIZE = /^(\d{1,12})(KiB|MiB|GiB)$/;
const UNITS: Readonly<Record<string, number>> = { KiB: 1024, MiB: 1024 ** 2, GiB: 1024 ** 3 };

/** A size, text in, octets out; `off` is no limit (Infinity). */
export function sizeOrOff(fallback: string, words: Words, bounds: { min: string; max: string }) {
  const octetsIn = (written: string): number => {
    const [, digits, unit = ''] = SIZE.exec(written) ?? [];
    return digits === undefined ? Number.NaN : Number(digits) * (UNITS[unit] ?? Number.NaN);
  };
  const wants = `a size such as 64MiB or 1GiB, from ${bounds.min} to ${bounds.max}, or off`;
  return limitOf(fallback, words, wants, 'text', (written) => {
    const octets = octetsIn(written);
    return octets >= octetsIn(bounds.min) && octets <= octetsIn(bounds.max) ? octets : null;
  });
}

/** As `duration`; `off` is for ever (Infinity). */
export function durationOrOff(fallback: string, words: Words, bounds: { min: string; max: string }) {
  const [min, max] = [parseDuration(bounds.min) ?? 0, parseDuration(bounds.max) ?? 0];
  const wants = `${DURATION_EXAMPLE}, from ${bounds.min} to ${bounds.max}, or off`;
  return limitOf(fallback, words, wants, 'duration', (written) => {
    const read = parseDuration(written);
    return read !== null && read >= min && read <= max ? read : null;
  });
}

function limitOf(
  fallback: string,
  words: Words,
  wants: string,
  kind: 'text' | 'duration',
  read: (written: string) => number | null,
) {
  const limit = z.pipe(
    z.string(),
    z.transform((written, context) => {
      const value = written === 'off' ? Number.POSITIVE_INFINITY : read(written);
      if (value !== null) return value;
      context.issues.push({ code: 'custom', message: wants, input: written });
      return z.NEVER;
    }),
  );
  const schema = z.prefault(limit, fallback);
  return schema.register(settings, { ...words, kind, wants, example: fallback, fallback });
}

/** A whole number. */
export function count(fallback: number, words: Words, bounds: { min: number; max: number }) {
  const wants = `a whole number from ${bounds.min} to ${bounds.max}`;
  const schema = withDefault(z.int().check(z.minimum(bounds.min), z.maximum(bounds.max)), fallback);
  return schema.register(settings, { ...words, kind: 'count', wants, example: `${fallback}`, fallback: `${fallback}` });
}

/** True or false. */
export function onOff(fallback: boolean, about: string) {
  const schema = withDefault(z.boolean(), fallback);
  const written = `${fallback}`;
  return schema.register(settings, {
    about,
    kind: 'switch',
    wants: 'true or false',
    example: written,
    fallback: written,
  });
}

/** How many processes; `auto` is one for each core. */
export function processes(fallback: number, words: Words) {
  const wants = 'a whole number from 1 to 64, or auto';
  const processCount = z.pipe(
    z.union([z.int().check(z.minimum(1), z.maximum(64)), z.literal('auto')]),
    z.transform((written) => (written === 'auto' ? Math.min(64, availableParallelism()) : written)),
  );
  const schema = z.prefault(processCount, fallback);
  return schema.register(settings, { ...words, kind: 'count', wants, example: '2', fallback: `${fallback}` });
}

/** How many at most; 0 and `off` are no limit (Infinity). With `auto`, null: found out by whoever uses it. */
export function ceiling<A extends boolean>(fallback: number | 'auto' | 'off', words: Words, auto: A) {
  const wants = `a whole number from 1 to ${MOST}${auto ? ', auto' : ''}, or off (or 0), which is no limit`;
  const most = z.pipe(
    z.union([z.int().check(z.minimum(0), z.maximum(MOST)), z.literal(auto ? ['auto', 'off'] : ['off'])]),
    z.transform((written): number | (A extends true ? null : never) => {
      if (written === 'auto') return null as A extends true ? null : never;
      return written === 'off' || written === 0 ? Number.POSITIVE_INFINITY : written;
    }),
  );
  const schema = z.prefault(most, fallback);
  return schema.register(settings, { ...words, kind: 'count', wants, example: `${fallback}`, fallback: `${fallback}` });
}

/** Text with a default. */
export function text(fallback: string, words: Words, rule: TextRule) {
  const { kind = 'text', wants, example, accepts } = rule;
  const schema = withDefault(z.string().check(z.refine(accepts)), fallback);
  return schema.register(settings, { ...words, kind, wants, example, fallback });
}

/** A path below which a server has its API, without a slash at its end. */
export function pathOfApi(about: string) {
  const accepts = (value: string): boolean => /^(?:\/[\w.~-]*[\w~-])+$/.test(value);
  return text(
    '/api',
    { about },
    { wants: 'a path such as /api, without a slash at its end', example: '/prefect', accepts },
  );
}

/** Text that may be left out; null then. */
export function optionalText(words: Words & { readonly environmentOnly?: true }, rule: TextRule) {
  const { kind = 'text', wants, example, accepts } = rule;
  const schema = withDefault(z.nullable(z.string().check(z.refine(accepts))), null);
  return schema.register(settings, { ...words, kind, wants, example, fallback: null });
}

/** IP addresses and networks of them; none when left out. */
export function networks(words: Words) {
  const schema = withDefault(
    z.array(z.string().check(z.refine((address) => parseNetwork(address) !== null))).check(z.maxLength(100)),
    () => [],
  );
  return schema.register(settings, {
    ...words,
    kind: 'list',
    wants: 'a list of at most 100 IP addresses and networks such as 10.0.0.0/8',
    example: '[192.0.2.7, 10.0.0.0/8]',
    fallback: null,
    placeholder: 'ADDRESS',
  });
}

/** Where to listen: host and port, a socket that systemd passes, or with `unix` also one in the file system. */
export function listenAt(fallback: string, flag: NonNullable<Setting['flag']>, about: string, unix: boolean) {
  const wants = `host:port, [ipv6]:port${unix ? ', unix:/path' : ''} or systemd:NAME`;
  const accepts = (value: string): boolean =>
    parseHostPort(value) !== null || parseSystemdName(value) !== null || (unix && parseSocketPath(value) !== null);
  return text(fallback, { about, flag }, { kind: 'address', wants, example: fallback, accepts });
}

/** Where to listen besides, host and port; null for nowhere. */
export function optionalListen(flag: NonNullable<Setting['flag']>, example: string, about: string) {
  const accepts = (value: string): boolean => parseHostPort(value) !== null;
  return optionalText({ about, flag }, { kind: 'address', wants: 'host:port or [ipv6]:port', example, accepts });
}

const isPath = (value: string) => value !== '' && !value.includes('\0');
/** The rule of a setting that is a path. */
export const aFile = (example: string) => ({ kind: 'path' as const, wants: 'a path', example, accepts: isPath });
