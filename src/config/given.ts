// What a layer of the configuration gives (layers.ts): values, each with its setting and the place it came from, and what is
// wrong with them.
import type * as z from 'zod/mini';
import type { Setting } from './setting.ts';

/** Something wrong with the configuration: where, what, and what to do. */
export interface Problem {
  readonly place: string;
  readonly problem: string;
  readonly remedy: string;
}

/** A value that a layer gives to a setting. */
export interface Given {
  readonly leaf: Leaf;
  readonly value: unknown;
  /** Where the value, or the part of it at `inside`, stands: `certgate.yaml:3:5`, `CERTGATE_…` or `--flag`. */
  placeOf(inside?: ReadonlyArray<PropertyKey>): string;
  /** How a right value would be written there. */
  readonly rightForm: string;
  /** Whether relative paths are meant from the working directory instead of the file's folder. */
  readonly fromCwd: boolean;
}

/** One setting: `path` is dotted (`serve.listen`), `variable` its environment variable. */
export interface Leaf {
  readonly path: string;
  readonly variable: string;
  readonly schema: z.ZodMiniType;
  readonly setting: Setting;
}
