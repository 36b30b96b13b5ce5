// Some members of a JSON that was answered, and nothing else of it. What is passed over is not made into objects: a client chooses
// what stands in a run's parameters, and a megabyte of them takes JSON.parse a fifth of a second, in which nobody else is served.
// It is gone through once, by its strings and brackets; whether it is well formed inside is not looked at. Pure.

import { endOfString } from './strict-json.ts';

const QUOTE = 0x22;
const COMMA = 0x2c;
const COLON = 0x3a;
const OPEN_LIST = 0x5b;
const CLOSE_LIST = 0x5d;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;

interface Reader {
  readonly text: string;
  readonly names: ReadonlySet<string>;
  at: number;
}

/**
 * The object that `text` is, or the list of them, with those members alone whose names are in `names`; of what stands twice the
 * last, as JSON.parse has it. What is neither is read whole. SyntaxError for what is plainly no JSON.
 */
export function membersOf(text: string, names: ReadonlySet<string>): unknown {
  const reader: Reader = { text, names, at: 0 };
  const first = next(reader);
  if (first !== OPEN_OBJECT && first !== OPEN_LIST) return JSON.parse(text) as unknown;
  const found = first === OPEN_OBJECT ? objectAt(reader) : listAt(reader);
  if (!Number.isNaN(next(reader))) throw new SyntaxError('something stands behind it');
  return found;
}

function listAt(reader: Reader): unknown[] {
  const found: unknown[] = [];
  reader.at++;
  if (next(reader) === CLOSE_LIST) {
    reader.at++;
    return found;
  }
  do {
    found.push(next(reader) === OPEN_OBJECT ? objectAt(reader) : (JSON.parse(valueAt(reader)) as unknown));
  } while (goesOn(reader, CLOSE_LIST));
  return found;
}

function objectAt(reader: Reader): Record<string, unknown> {
  const found: Record<string, unknown> = {};
  eachMember(reader, (name, value) => {
    if (reader.names.has(name)) found[name] = JSON.parse(value) as unknown;
  });
  return found;
}

/**
 * The texts of the members that are in `names`, of the object that `text` is; null when it is none. SyntaxError as above, and for
 * one that stands twice, of which readers take this or that.
 */
export function memberTexts(text: string, names: ReadonlySet<string>): ReadonlyMap<string, string> | null {
  const reader: Reader = { text, names, at: 0 };
  if (next(reader) !== OPEN_OBJECT) return null;
  const found = new Map<string, string>();
  eachMember(reader, (name, value) => {
    if (found.has(name)) throw new SyntaxError('a name stands twice');
    if (names.has(name)) found.set(name, value);
  });
  if (!Number.isNaN(next(reader))) throw new SyntaxError('something stands behind it');
  return found;
}

function eachMember(reader: Reader, tell: (name: string, value: string) => void): void {
  const { text } = reader;
  reader.at++;
  if (next(reader) === CLOSE_OBJECT) {
    reader.at++;
    return;
  }
  do {
    if (next(reader) !== QUOTE) throw new SyntaxError('a member has no name');
    const from = reader.at;
    reader.at = endOfString(text, from);
    const raw = text.slice(from + 1, reader.at - 1);
    const name = raw.includes('\\') ? String(JSON.parse(`"${raw}"`)) : raw;
    if (next(reader) !== COLON) throw new SyntaxError('a name has no value');
    reader.at++;
    tell(name, valueAt(reader));
  } while (goesOn(reader, CLOSE_OBJECT));
}

/** Past a comma, or past the end. */
function goesOn(reader: Reader, close: number): boolean {
  const code = next(reader);
  if (code !== COMMA && code !== close) throw new SyntaxError('neither a comma nor an end');
  reader.at++;
  return code === COMMA;
}

/** The code of the next character that is no blank, NaN at the end. */
function next(reader: Reader): number {
  for (; ; reader.at++) {
    const code = reader.text.charCodeAt(reader.at);
    if (code !== 0x20 && code !== 0x0a && code !== 0x0d && code !== 0x09) return code;
  }
}

/** The text of the value that begins next; it is passed. */
function valueAt(reader: Reader): string {
  next(reader);
  const from = reader.at;
  reader.at = endOfValue(reader.text, from);
  if (reader.at === from || reader.at > reader.text.length) throw new SyntaxError('a value has no end');
  return reader.text.slice(from, reader.at);
}

function endOfValue(text: string, from: number): number {
  let open = 0;
  for (let at = from; at < text.length; at++) {
    switch (text.charCodeAt(at)) {
      case QUOTE:
        at = endOfString(text, at) - 1;
        if (open === 0) return at + 1;
        break;
      case OPEN_LIST:
      case OPEN_OBJECT:
        open++;
        break;
      case CLOSE_LIST:
      case CLOSE_OBJECT:
        // That of what it stands in.
        if (open === 0) return at;
        if (--open === 0) return at + 1;
        break;
      case COMMA:
        if (open === 0) return at;
        break;
    }
  }
  return open === 0 ? text.length : text.length + 1;
}
