// Block documents hold secrets, which Prefect gives to whoever asks with `include_secrets`: in the query of three reads, and
// in the body of a fourth. Prefect Cloud wants see_secret_blocks for that. The query is read as Starlette reads it: pairs
// between `&`, the name percent-decoded once with `+` for a space, case as it stands, the last of several counts.
// The body is JSON as both Python and JavaScript read it: UTF-8, no name twice at its top. Whatever is not plainly a "no"
// counts as asking: this must never take a question for none.

import type { Operation } from './operation.ts';

/** Prefect's names of the reads that take it in their query. */
const BY_QUERY = new Set([
  'read_block_document_by_id',
  'read_block_documents_for_block_type',
  'read_block_document_by_name_for_block_type',
]);
const BY_BODY_OR_MADE = new Set(['read_block_documents', 'create_block_document']);
const NAME = 'include_secrets';
/** What pydantic takes for false. */
const NO = /^(?:0|off|f|false|n|no)$/i;

/** What a request's target says of secrets: `asks`, and the target without the question. */
export interface SecretsQuestion {
  readonly asks: boolean;
  /** The same target with every `include_secrets` taken out; Prefect's default is to hide them. */
  readonly target: string;
}

/** Reads `target`, a request target with its query, of `operation`; null where secrets are no matter. */
export function secretsQuestion(operation: Operation | null, target: string): SecretsQuestion | null {
  if (operation === null || !BY_QUERY.has(operation.name)) return null;
  const mark = target.indexOf('?');
  if (mark === -1) return null;
  const pairs = target.slice(mark + 1).split('&');
  const rest = pairs.filter((pair) => nameOf(pair) !== NAME);
  if (rest.length === pairs.length) return null;
  const asks = pairs.some((pair) => nameOf(pair) === NAME && !NO.test(answerOf(pair)));
  const path = target.slice(0, mark);
  return { asks, target: rest.length === 0 ? path : `${path}?${rest.join('&')}` };
}

function nameOf(pair: string): string {
  const equals = pair.indexOf('=');
  return decoded(equals === -1 ? pair : pair.slice(0, equals));
}

function answerOf(pair: string): string {
  const equals = pair.indexOf('=');
  return equals === -1 ? '' : decoded(pair.slice(equals + 1));
}

/** As Python's unquote_plus, byte for byte: exact for ASCII, and nothing else is looked for. */
function decoded(text: string): string {
  return text
    .replaceAll('+', ' ')
    .replaceAll(/%([0-9A-Fa-f]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
}

/** Whether `operation` answers block documents. */
export function answersBlocks(operation: Operation | null): boolean {
  return operation !== null && (BY_QUERY.has(operation.name) || BY_BODY_OR_MADE.has(operation.name));
}

/** Whether `operation` takes the question in its body. */
export function asksByBody(operation: Operation | null): boolean {
  return operation?.name === 'read_block_documents';
}

export type SecretsInBody =
  /** `hidden` is the same text with the question answered by no. */
  | { readonly ok: true; readonly asks: boolean; readonly hidden: string }
  /** Ends the sentence "the body …". */
  | { readonly ok: false; readonly problem: string };

/** Reads the body of such an operation, decoded as UTF-8. Never throws. */
export function secretsInBody(text: string): SecretsInBody {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return { ok: false, problem: 'is not JSON' };
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    return { ok: true, asks: false, hidden: text };
  const members = topMembers(text);
  if (new Set(members.map((one) => one.name)).size < members.length) {
    return { ok: false, problem: 'has a name twice' };
  }
  const found = members.find((one) => one.name === NAME);
  if (found === undefined) return { ok: true, asks: false, hidden: text };
  const { from, to } = found;
  const asks = text.slice(from, to).trim() !== 'false';
  return { ok: true, asks, hidden: `${text.slice(0, from)}false${text.slice(to)}` };
}

interface Member {
  readonly name: string;
  /** Where its value begins and ends, white space included. */
  readonly from: number;
  readonly to: number;
}

const STRING = /"(?:[^"\\]|\\.)*"/y;

/** The members of the object that `text`, valid JSON, is. */
function topMembers(text: string): Member[] {
  const members: Member[] = [];
  let depth = 0;
  let name: string | null = null;
  let from = -1;
  for (let at = 0; at < text.length; at++) {
    const character = text[at];
    if (character === '"') {
      STRING.lastIndex = at;
      const literal = STRING.exec(text)?.[0] ?? '"';
      if (depth === 1 && from === -1) name = String(JSON.parse(literal));
      at += literal.length - 1;
    } else if (character === '{' || character === '[') depth++;
    else if (depth === 1 && (character === ',' || character === '}')) {
      if (name !== null) members.push({ name, from, to: at });
      name = null;
      from = -1;
      if (character === '}') depth--;
    } else if (character === '}' || character === ']') depth--;
    else if (depth === 1 && character === ':' && from === -1) from = at + 1;
  }
  return members;
}
