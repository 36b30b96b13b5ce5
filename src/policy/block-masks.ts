// Answers with block documents, for who may not see secrets. Prefect puts stars for what a document's schema lists as secret
// (`secret_fields`), but only where it stands by itself: in a Secret block whose value is an object, in lists of blocks, in
// maps of secrets it is answered as it is, to who has not asked for secrets too (3.8.8). So the list is gone through again,
// through lists and maps, and what no list speaks of is hidden: a block in a field that is for none, or for another type, and
// what is no plain value in a document that is referred to, of which only Prefect knows the schema. Pure. It hides more than
// it must where it can't know, and never less.

import { isRecord } from './strict-json.ts';

/** As Prefect writes it. */
const MASK = '********';
/** What is about a block within another, not of it. */
const ABOUT: ReadonlySet<string> = new Set([
  'block_type_slug',
  '_block_document_id',
  '_block_document_name',
  '_is_anonymous',
]);

/** Steps along paths in one answer: one of 8 MiB has no 2,000,000 names. */
const MOST_STEPS = 4_000_000;

interface Steps {
  left: number;
}

type Fields = Readonly<Record<string, unknown>>;

/** `text`, an answer of one document or a list of them, without secrets; the same text where it has none. Null when it is no such answer. */
export function maskSecrets(text: string): string | null {
  try {
    return withoutSecrets(text, JSON.parse(text));
  } catch {
    // No JSON, or beyond what can be gone through.
    return null;
  }
}

function withoutSecrets(text: string, answer: unknown): string | null {
  const list: readonly unknown[] = Array.isArray(answer) ? answer : [answer];
  if (!list.every(isRecord)) return null;
  const steps = { left: MOST_STEPS };
  const masked = list.map((one) => maskDocument(one, steps));
  if (masked.every((one, i) => one === list[i])) return text;
  return JSON.stringify(Array.isArray(answer) ? masked : masked[0]);
}

function maskDocument(document: Fields, steps: Steps): Fields {
  const data = document['data'] ?? null;
  if (data === null) return document;
  const schema = document['block_schema'];
  const fields = isRecord(schema) && isRecord(schema['fields']) ? schema['fields'] : null;
  const secrets = fields?.['secret_fields'] ?? [];
  const known = fields !== null && Array.isArray(secrets) && isRecord(data);
  const changed = known ? maskData(data, secrets, fields, document, steps) : hidden(data);
  return changed === data ? document : { ...document, data: changed };
}

function maskData(data: Fields, secrets: readonly unknown[], fields: Fields, document: Fields, steps: Steps): unknown {
  const declared = isRecord(fields['block_schema_references']) ? fields['block_schema_references'] : {};
  const references = isRecord(document['block_document_references']) ? document['block_document_references'] : {};
  const within = mapped(data, (value, name) =>
    Object.hasOwn(references, name) ? nestedDocument(value) : inlineBlocks(value, slugsOf(declared[name])),
  );
  return secrets.length === 0 ? within : maskAt(within, [pathsOf(secrets)], true, steps);
}

/** Everything that is not nothing. */
function hidden(value: unknown): unknown {
  if (value === null || value === MASK) return value;
  return isRecord(value) ? mapped(value, hidden) : MASK;
}

/** Where paths have come to: whether one ends there, and how they go on, by the next name. */
interface Paths {
  ends: boolean;
  readonly next: Map<string, Paths>;
}

function pathsOf(secrets: readonly unknown[]): Paths {
  const first: Paths = { ends: false, next: new Map() };
  for (const path of secrets) {
    let at = first;
    for (const name of String(path).split('.')) {
      if (name === '*') break;
      const next = at.next.get(name) ?? { ends: false, next: new Map() };
      at.next.set(name, next);
      at = next;
    }
    at.ends = true;
  }
  return first;
}

/**
 * What stands at the end of a path, also in each item of a list, and in each value of a map: such are no part of paths. All
 * paths are followed in one walk: who made the block chose how many there are, and how much they are looked for in.
 */
function maskAt(value: unknown, paths: readonly Paths[], top: boolean, steps: Steps): unknown {
  if (paths.some(({ ends }) => ends)) return hidden(value);
  if (Array.isArray(value)) return eachOf(value, (item) => maskAt(item, paths, false, steps));
  if (!isRecord(value)) return value;
  return mapped(value, (child, name) => {
    steps.left -= paths.length;
    if (steps.left < 0) throw new RangeError('more to look for than anybody waits for');
    const on = paths.flatMap(({ next }) => next.get(name) ?? []);
    const from = top ? on : on.length === 0 ? paths : [...new Set([...paths, ...on])];
    return from.length === 0 ? child : maskAt(child, from, false, steps);
  });
}

/** The data of another document: its secrets have stars where they stand by themselves, and are hidden where they might not. */
function nestedDocument(value: unknown): unknown {
  return isRecord(value)
    ? mapped(value, (child) => (typeof child === 'object' ? hidden(child) : child))
    : hidden(value);
}

/** Blocks of other types than `slugs` say: nothing lists their secrets. */
function inlineBlocks(value: unknown, slugs: ReadonlySet<unknown>): unknown {
  if (Array.isArray(value)) return eachOf(value, (item) => inlineBlocks(item, slugs));
  if (!isRecord(value)) return value;
  if (!('block_type_slug' in value)) return mapped(value, (child) => inlineBlocks(child, slugs));
  if (slugs.has(value['block_type_slug'])) return value;
  return mapped(value, (child, name) => (ABOUT.has(name) ? child : hidden(child)));
}

/** The types of blocks that a field may have. */
function slugsOf(declared: unknown): ReadonlySet<unknown> {
  const all: readonly unknown[] = Array.isArray(declared) ? declared : [declared];
  return new Set(all.filter(isRecord).map((one) => one['block_type_slug']));
}

/** The same object where `change` changes nothing of it. */
function mapped(record: Fields, change: (value: unknown, name: string) => unknown): Fields {
  const changed = new Map<string, unknown>();
  for (const name of Object.keys(record)) {
    const value = change(record[name], name);
    if (value !== record[name]) changed.set(name, value);
  }
  if (changed.size === 0) return record;
  return Object.fromEntries(
    Object.entries(record).map(([name, value]) => [name, changed.has(name) ? changed.get(name) : value]),
  );
}

function eachOf(list: readonly unknown[], change: (item: unknown) => unknown): readonly unknown[] {
  const changed = list.map(change);
  return changed.every((item, i) => item === list[i]) ? list : changed;
}
