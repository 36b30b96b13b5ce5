// The schema as a flat table: one row for each setting, with its dotted path, its environment variable and its own zod
// schema. The loader, the template, the flags and the reference are made from these rows. Pure.

import * as z from 'zod/mini';
import type { Leaf } from './given.ts';
import { configSchema } from './schema.ts';
import { settings } from './setting.ts';

/** Every setting, in the order of the schema. */
export const leaves: readonly Leaf[] = [...walk(configSchema, [])];

const byPath = new Map(leaves.map((leaf) => [leaf.path, leaf]));

/** The setting at a dotted path. A path that the schema does not have is a fault of the program. */
export function leafAt(path: string): Leaf {
  const leaf = byPath.get(path);
  if (leaf === undefined) throw new TypeError(`no setting is called ${path}`);
  return leaf;
}

/** Names of the keys that a section may have; null when `path` is no section. The root is the empty path. */
export function keysOf(path: readonly string[]): readonly string[] | null {
  let schema: unknown = configSchema;
  for (const key of path) {
    const section = sectionOf(schema);
    if (section === null || !Object.hasOwn(section.shape, key)) return null;
    schema = section.shape[key];
  }
  const section = sectionOf(schema);
  return section === null ? null : Object.keys(section.shape);
}

/** `serve.upstreamIdle` → `CERTGATE_SERVE_UPSTREAM_IDLE`. */
function variableFor(path: string): string {
  const words = path.replaceAll(/([a-z0-9])([A-Z])/g, '$1_$2').replaceAll('.', '_');
  return `CERTGATE_${words.toUpperCase()}`;
}

function* walk(schema: unknown, path: readonly string[]): Generator<Leaf> {
  const section = sectionOf(schema);
  if (section !== null) {
    for (const [key, child] of Object.entries(section.shape)) yield* walk(child, [...path, key]);
    return;
  }
  const dotted = path.join('.');
  const setting = schema instanceof z.ZodMiniType ? settings.get(schema) : undefined;
  if (!(schema instanceof z.ZodMiniType) || setting === undefined) throw new TypeError(`${dotted} has no description`);
  yield { path: dotted, variable: variableFor(dotted), schema, setting };
}

function sectionOf(schema: unknown): z.ZodMiniObject | null {
  if (schema instanceof z.ZodMiniObject) return schema;
  return schema instanceof z.ZodMiniPrefault ? sectionOf(schema.def.innerType) : null;
}
