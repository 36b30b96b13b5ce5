// One setting of the configuration: its zod schema together with what people need to know about it, registered as one.
// The functions make the kinds of settings there are, so that schema.ts can read like a table.
import { availableParallelism } from 'node:os';
import { z } from 'zod';
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
  /** What its flag is called on the commands that take it, e.g. `--listen`. */
  readonly flag?: string;
  /** Secrets: only the environment may carry them, never the file or a flag. */
  readonly environmentOnly?: true;
}

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
  const schema = z
    .string()
    .transform((written, context) => {
      const milliseconds = parseDuration(written);
      if (milliseconds !== null && milliseconds >= min && milliseconds <= max) return milliseconds;
      context.addIssue({ code: 'custom', message: wants });
      return z.NEVER;
    })
    .prefault(fallback);
  return schema.register(settings, { ...words, kind: 'duration', wants, example: fallback, fallback });
}

/** A whole number. */
export function count(fallback: number, words: Words, bounds: { min: number; max: number }) {
  const wants = `a whole number from ${bounds.min} to ${bounds.max}`;
  const schema = z.int().min(bounds.min).max(bounds.max).default(fallback);
  return schema.register(settings, { ...words, kind: 'count', wants, example: `${fallback}`, fallback: `${fallback}` });
}

/** How many processes; `auto` is one for each core. */
export function processes(fallback: number, words: Words) {
  const wants = 'a whole number from 1 to 64, or auto';
  const schema = z
    .union([z.int().min(1).max(64), z.literal('auto')])
    .transform((written) => (written === 'auto' ? Math.min(64, availableParallelism()) : written))
    .prefault(fallback);
  return schema.register(settings, { ...words, kind: 'count', wants, example: '2', fallback: `${fallback}` });
}

/** How many at most; 0 and `off` are no limit (Infinity). With `auto`, null: found out by whoever uses it. */
export function ceiling<A extends boolean>(fallback: number | 'auto', words: Words, auto: A) {
  const wants = `a whole number from 1 to ${MOST}${auto ? ', auto' : ''}, or off`;
  const schema = z
    .union([z.int().min(0).max(MOST), z.literal(auto ? ['auto', 'off'] : ['off'])])
    .transform((written): number | (A extends true ? null : never) => {
      if (written === 'auto') return null as A extends true ? null : never;
      return written === 'off' || written === 0 ? Number.POSITIVE_INFINITY : written;
    })
    .prefault(fallback);
  return schema.register(settings, { ...words, kind: 'count', wants, example: `${fallback}`, fallback: `${fallback}` });
}

/** Text with a default. */
export function text(fallback: string, words: Words, rule: TextRule) {
  const { kind = 'text', wants, example, accepts } = rule;
  return z
    .string()
    .refine(accepts)
    .default(fallback)
    .register(settings, { ...words, kind, wants, example, fallback });
}

/** Text that may be left out; null then. */
export function optionalText(words: Words & { readonly environmentOnly?: true }, rule: TextRule) {
  const { kind = 'text', wants, example, accepts } = rule;
  return z
    .string()
    .refine(accepts)
    .nullable()
    .default(null)
    .register(settings, { ...words, kind, wants, example, fallback: null });
}

const isPath = (value: string) => value !== '' && !value.includes('\0');
/** The rule of a setting that is a path. */
export const aFile = (example: string) => ({ kind: 'path' as const, wants: 'a path', example, accepts: isPath });
