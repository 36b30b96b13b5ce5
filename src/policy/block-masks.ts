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

type Fields = Readonly<Record<string, unknown>>;

/** `text`, an answer of one document or a list of them, without secrets; the same text where it has none. Null when it is no such answer. */
export function maskSecrets(text: string): string | null {
  try {
    return withoutSecrets(text, JSON.parse(text));
  } catch {
    // No JSON, or nested beyond what can be gone through.
    return null;
  }
}

function withoutSecrets(text: string, answer: unknown): string | null {
  const list: readonly unknown[] = Array.isArray(answer) ? answer : [answer];
  if (!list.every(isRecord)) return null;
  const masked = list.map(maskDocument);
  if (masked.every((one, i) => one === list[i])) return text;
  return JSON.stringify(Array.isArray(answer) ? masked : masked[0]);
}

function maskDocument(document: Fields): Fields {
  const data = document['data'] ?? null;
  if (data === null) return document;
  const schema = document['block_schema'];
  const fields = isRecord(schema) && isRecord(schema['fields']) ? schema['fields'] : null;
  const secrets = fields?.['secret_fields'] ?? [];
  const known = fields !== null && Array.isArray(secrets) && isRecord(data);
  const changed = known ? maskData(data, secrets, fields, document) : hidden(data);
  return changed === data ? document : { ...document, data: changed };
}

function maskData(data: Fields, secrets: readonly unknown[], fields: Fields, document: Fields): unknown {
  const declared = isRecord(fields['block_schema_references']) ? fields['block_schema_references'] : {};
  const references = isRecord(document['block_document_references']) ? document['block_document_references'] : {};
  const within = mapped(data, (value, name) =>
    Object.hasOwn(references, name) ? nestedDocument(value) : inlineBlocks(value, slugsOf(declared[name])),
  );
  return secrets.reduce<unknown>((all, path) => maskPath(all, String(path).split('.'), true), within);
}

/** Everything that is not nothing. */
function hidden(value: unknown): unknown {
  if (value === null || value === MASK) return value;
  return isRecord(value) ? mapped(value, hidden) : MASK;
}

/** What stands at `path`, also in each item of a list, and in each value of a map: such are no part of paths. */
function maskPath(value: unknown, path: readonly string[], top: boolean): unknown {
  const [head, ...rest] = path;
  if (head === undefined || head === '*') return hidden(value);
  if (Array.isArray(value)) return eachOf(value, (item) => maskPath(item, path, false));
  if (!isRecord(value)) return value;
  return mapped(value, (child, name) => {
    if (name === head) return maskPath(child, rest, false);
    return top ? child : maskPath(child, path, false);
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
  const entries = Object.entries(record);
  const changed = entries.map(([name, value]) => [name, change(value, name)] as const);
  return changed.every(([, value], i) => value === entries[i]?.[1]) ? record : Object.fromEntries(changed);
}

function eachOf(list: readonly unknown[], change: (item: unknown) => unknown): readonly unknown[] {
  const changed = list.map(change);
  return changed.every((item, i) => item === list[i]) ? list : changed;
}
