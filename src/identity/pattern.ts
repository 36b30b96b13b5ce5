// Patterns of identity rules: JavaScript's syntax, matched against a whole value in time linear in its length, so that
// no certificate can make a gate think for long. A pattern is compiled to a small automaton (Thompson; captures as in
// Pike's) instead of being run by backtracking; what that cannot do, or what is hard to foresee, is refused when the
// configuration is read: backreferences, lookaround, nested quantifiers, repeated captures. It never guesses.
import { reasonOf } from '../errors.ts';
import { type Captures, compile, type Language, type Node } from './automaton.ts';

/** Why a pattern cannot be used. Whoever compiles one turns it into a problem with a place. */
export class PatternFault extends Error {}

export interface Pattern {
  readonly source: string;
  /** How many capturing groups it has; named ones have their number too. */
  readonly groups: number;
  readonly names: ReadonlyMap<string, number>;
  /** The captures, by group number (0 is the whole value), undefined where a group took no part; null for no match. */
  readonly match: (value: string) => Captures | null;
  /** Whether it matches any value of `language` at all; see automaton.ts. */
  readonly meets: (language: Language, effort: { left: number }) => boolean;
}

const MOST_CHARACTERS = 200;
const MOST_REPETITIONS = 256;
const QUANTIFIER = /(?:[*+?]|\{(\d+)(,(\d*))?\})\??/y;
const ESCAPE = /\\(?:u\{[0-9A-Fa-f]+\}|u[0-9A-Fa-f]{4}|x[0-9A-Fa-f]{2}|[pP]\{[^}]*\}|c[A-Za-z]|[^ux])/suy;
const CLASS = /\[(?:\\.|[^\]\\])*\]/suy;
const GROUP_NAME = /\(\?<([A-Za-z_$][\w$]*)>/y;

/** Compiles `source`; `^` at its beginning and `$` at its end may stand or not. PatternFault. */
export function compilePattern(source: string): Pattern {
  if (source.length > MOST_CHARACTERS) throw new PatternFault(`longer than ${MOST_CHARACTERS} characters`);
  checkSyntax(source);
  const names = new Map<string, number>();
  const reader = { source, at: source.startsWith('^') ? 1 : 0, end: lengthWithoutEnd(source), groups: 0, names };
  const tree = readAlternatives(reader);
  if (reader.at < reader.end) throw new PatternFault(`unexpected ${source.slice(reader.at, reader.at + 1)}`);
  const automaton = compile(tree, reader.groups);
  if (automaton === null) throw new PatternFault('too large once its repetitions are written out');
  // A policy has thousands, and most differ from a name in how they begin.
  const beginning = beginningOf(tree);
  return {
    ...{ source, groups: reader.groups, names },
    match: (value) => (value.startsWith(beginning) ? automaton.match(value) : null),
    meets: automaton.meets,
  };
}

/** The characters that whatever matches begins with; it may begin with more. */
function beginningOf(tree: Node): string {
  const parts = tree.kind === 'all' ? tree.parts : [];
  let text = '';
  for (const part of parts) {
    if (part.kind !== 'one' || part.only === undefined) break;
    text += part.only;
  }
  return text;
}

/** JavaScript's own word first: what it does not take, nobody has to understand. */
function checkSyntax(source: string): RegExp {
  try {
    return new RegExp(source, 'u');
  } catch (cause) {
    throw new PatternFault(reasonOf(cause), { cause });
  }
}

interface Reader {
  readonly source: string;
  readonly end: number;
  readonly names: Map<string, number>;
  at: number;
  groups: number;
}

/** Where the pattern ends when a `$` that is not escaped stands last. */
function lengthWithoutEnd(source: string): number {
  const escapes = /(\\*)\$$/.exec(source)?.[1];
  return escapes !== undefined && escapes.length % 2 === 0 ? source.length - 1 : source.length;
}

function readAlternatives(reader: Reader): Node {
  const parts = [readSequence(reader)];
  while (reader.at < reader.end && reader.source[reader.at] === '|') {
    reader.at++;
    parts.push(readSequence(reader));
  }
  return parts.length === 1 && parts[0] !== undefined ? parts[0] : { kind: 'any', parts };
}

function readSequence(reader: Reader): Node {
  const parts: Node[] = [];
  while (reader.at < reader.end && reader.source[reader.at] !== '|' && reader.source[reader.at] !== ')') {
    parts.push(readQuantified(reader, readAtom(reader)));
  }
  return { kind: 'all', parts };
}

function readQuantified(reader: Reader, inner: Node): Node {
  const [text, least, comma, most] = sticky(QUANTIFIER, reader) ?? [];
  if (text === undefined) return inner;
  if (mayBeEmpty(inner)) throw new PatternFault(`${text} repeats what may be empty`);
  const greedy = text.length === 1 || !text.endsWith('?');
  if (text.startsWith('?')) return { kind: 'repeat', inner, least: 0, most: 1, greedy };
  if (contains(inner, 'repeat'))
    throw new PatternFault(`nested quantifiers: ${text} repeats a group that has one inside`);
  if (contains(inner, 'capture'))
    throw new PatternFault(`${text} repeats a capturing group: make it (?:…) or put it inside`);
  if (text.startsWith('*')) return { kind: 'repeat', inner, least: 0, most: Infinity, greedy };
  if (text.startsWith('+')) return { kind: 'repeat', inner, least: 1, most: Infinity, greedy };
  const from = Number(least);
  const to = comma === undefined ? from : most === undefined || most === '' ? Infinity : Number(most);
  if (from > MOST_REPETITIONS || (to !== Infinity && to > MOST_REPETITIONS))
    throw new PatternFault(`${text} repeats too often`);
  return { kind: 'repeat', inner, least: from, most: to, greedy };
}

function readAtom(reader: Reader): Node {
  const { source } = reader;
  const character = String.fromCodePoint(source.codePointAt(reader.at) ?? 0);
  if (character === '(') return readGroup(reader);
  if (character === '^' || character === '$')
    throw new PatternFault(`${character} inside it: a pattern always matches the whole value`);
  if (character === '[') return oneOf(sticky(CLASS, reader)?.[0]);
  if (character === '.') {
    reader.at++;
    return oneOf('.');
  }
  if (character !== '\\') {
    reader.at += character.length;
    const only = character.codePointAt(0);
    return { kind: 'one', accepts: (codePoint) => codePoint === only, only: character };
  }
  const escaped = sticky(ESCAPE, reader)?.[0];
  if (escaped !== undefined && /^\\[1-9k]/.test(escaped)) throw new PatternFault(`backreference ${escaped}`);
  if (escaped !== undefined && /^\\[bB]/.test(escaped))
    throw new PatternFault(`${escaped}: name the characters instead`);
  return oneOf(escaped);
}

function readGroup(reader: Reader): Node {
  const { source } = reader;
  const named = sticky(GROUP_NAME, reader)?.[1];
  let group: number | null = null;
  if (named !== undefined) {
    if (reader.names.has(named)) throw new PatternFault(`two groups called ${named}`);
    group = ++reader.groups;
    reader.names.set(named, group);
  } else if (source.startsWith('(?:', reader.at)) {
    reader.at += 3;
  } else if (source.startsWith('(?', reader.at)) {
    throw new PatternFault(`${source.slice(reader.at, reader.at + 4)}… : lookaround and flags cannot be used`);
  } else {
    reader.at++;
    group = ++reader.groups;
  }
  const inner = readAlternatives(reader);
  if (reader.at >= reader.end || source[reader.at] !== ')') throw new PatternFault('a group is not closed');
  reader.at++;
  return group === null ? inner : { kind: 'capture', group, inner };
}

/** What the sticky `expression` matches where the reader stands; moves it past. */
function sticky(expression: RegExp, reader: Reader): RegExpExecArray | null {
  expression.lastIndex = reader.at;
  const found = expression.exec(reader.source);
  if (found !== null) reader.at += found[0].length;
  return found;
}

/** One character of a class, an escape or `.`: what those mean stays JavaScript's word, looked up once for ASCII. */
function oneOf(text: string | undefined): Node {
  if (text === undefined) throw new PatternFault('an escape or a class that is not understood');
  const expression = new RegExp(`^(?:${text})$`, 'u');
  const ascii = Array.from({ length: 128 }, (_, code) => expression.test(String.fromCharCode(code)));
  return { kind: 'one', accepts: (code) => ascii[code] ?? expression.test(String.fromCodePoint(code)) };
}

/** Where an empty turn counts and where not is JavaScript's finest print: nobody should need it to name a worker. */
function mayBeEmpty(node: Node): boolean {
  if (node.kind === 'all') return node.parts.every(mayBeEmpty);
  if (node.kind === 'any') return node.parts.some(mayBeEmpty);
  if (node.kind === 'capture') return mayBeEmpty(node.inner);
  return node.kind === 'repeat' && node.least === 0;
}

function contains(node: Node, kind: Node['kind']): boolean {
  if (node.kind === kind) return true;
  if (node.kind === 'all' || node.kind === 'any') return node.parts.some((part) => contains(part, kind));
  return (node.kind === 'capture' || node.kind === 'repeat') && contains(node.inner, kind);
}
