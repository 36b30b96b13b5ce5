// Patterns of identity rules: JavaScript's syntax, matched against a whole value in time linear in its length, so that
// no certificate can make a gate think for long. A pattern is compiled to a small automaton (Thompson; captures as in
// Pike's) instead of being run by backtracking; what that cannot do, or what is hard to foresee, is refused when the
// configuration is read: backreferences, lookaround, nested quantifiers, repeated captures. It never guesses.

/** Why a pattern cannot be used. Never leaves src/identity. */
export class PatternFault extends Error {}

export interface Pattern {
  readonly source: string;
  /** How many capturing groups it has; named ones have their number too. */
  readonly groups: number;
  readonly names: ReadonlyMap<string, number>;
  /** The captures, by group number (0 is the whole value), undefined where a group took no part; null for no match. */
  match(value: string): ReadonlyArray<string | undefined> | null;
}

type Step =
  | { readonly op: 'one'; readonly accepts: (codePoint: number) => boolean }
  | { readonly op: 'split'; readonly first: number; readonly second: number }
  | { readonly op: 'save'; readonly slot: number }
  | { readonly op: 'end' };

type Node =
  | { readonly kind: 'one'; readonly accepts: (codePoint: number) => boolean }
  | { readonly kind: 'all' | 'any'; readonly parts: readonly Node[] }
  | { readonly kind: 'capture'; readonly group: number; readonly inner: Node }
  | {
      readonly kind: 'repeat';
      readonly inner: Node;
      readonly least: number;
      readonly most: number;
      readonly greedy: boolean;
    };

/** A position taken by a capture, and the ones taken before it. */
interface Saved {
  readonly slot: number;
  readonly at: number;
  readonly before: Saved | null;
}

const MOST_CHARACTERS = 200;
const MOST_STEPS = 500;
const QUANTIFIER = /(?:[*+?]|\{(\d+)(,(\d*))?\})\??/y;
const ESCAPE = /\\(?:u\{[0-9A-Fa-f]+\}|u[0-9A-Fa-f]{4}|x[0-9A-Fa-f]{2}|[pP]\{[^}]*\}|c[A-Za-z]|[^ux])/suy;
const CLASS = /\[(?:\\.|[^\]\\])*\]/suy;
const GROUP_NAME = /\(\?<([A-Za-z_$][\w$]*)>/y;

/** Compiles `source`; `^` at its beginning and `$` at its end may stand or not. PatternFault. */
export function compilePattern(source: string): Pattern {
  if (source.length > MOST_CHARACTERS) throw new PatternFault(`longer than ${MOST_CHARACTERS} characters`);
  try {
    new RegExp(source, 'u');
  } catch (error) {
    throw new PatternFault(error instanceof Error ? error.message : String(error), { cause: error });
  }
  const names = new Map<string, number>();
  const reader = { source, at: source.startsWith('^') ? 1 : 0, end: lengthWithoutEnd(source), groups: 0, names };
  const tree = readAlternatives(reader);
  if (reader.at < reader.end) throw new PatternFault(`unexpected ${source.slice(reader.at, reader.at + 1)}`);
  const steps: Step[] = [];
  emit(tree, steps);
  steps.push({ op: 'end' });
  return { source, groups: reader.groups, names, match: (value) => run(steps, reader.groups, value) };
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
  if (from > MOST_STEPS || (to !== Infinity && to > MOST_STEPS)) throw new PatternFault(`${text} repeats too often`);
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
    return { kind: 'one', accepts: (codePoint) => codePoint === only };
  }
  const escape = sticky(ESCAPE, reader)?.[0];
  if (escape !== undefined && /^\\[1-9k]/.test(escape)) throw new PatternFault(`backreference ${escape}`);
  if (escape !== undefined && /^\\[bB]/.test(escape)) throw new PatternFault(`${escape}: name the characters instead`);
  return oneOf(escape);
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

function contains(node: Node, kind: Node['kind']): boolean {
  if (node.kind === kind) return true;
  if (node.kind === 'all' || node.kind === 'any') return node.parts.some((part) => contains(part, kind));
  return node.kind !== 'one' && contains(node.inner, kind);
}

function emit(node: Node, steps: Step[]): void {
  if (steps.length > MOST_STEPS) throw new PatternFault('too large once its repetitions are written out');
  switch (node.kind) {
    case 'one':
      steps.push({ op: 'one', accepts: node.accepts });
      break;
    case 'all':
      for (const part of node.parts) emit(part, steps);
      break;
    case 'capture':
      steps.push({ op: 'save', slot: 2 * node.group });
      emit(node.inner, steps);
      steps.push({ op: 'save', slot: 2 * node.group + 1 });
      break;
    case 'any':
      emitChoice(node.parts, steps);
      break;
    case 'repeat':
      for (let i = 0; i < node.least; i++) emit(node.inner, steps);
      if (node.most === Infinity) emitOptional(node.inner, steps, node.greedy, true);
      else for (let i = node.least; i < node.most; i++) emitOptional(node.inner, steps, node.greedy, false);
      break;
  }
}

function emitChoice(parts: readonly Node[], steps: Step[]): void {
  const [part, ...others] = parts;
  if (part === undefined) return;
  if (others.length === 0) return emit(part, steps);
  const split = steps.push({ op: 'end' }) - 1; // its targets are known below
  emit(part, steps);
  const leave = steps.push({ op: 'end' }) - 1;
  steps[split] = { op: 'split', first: split + 1, second: steps.length };
  emitChoice(others, steps);
  steps[leave] = jump(steps.length);
}

function emitOptional(inner: Node, steps: Step[], greedy: boolean, again: boolean): void {
  const split = steps.push({ op: 'end' }) - 1;
  emit(inner, steps);
  if (again) steps.push(jump(split));
  const past = steps.length;
  steps[split] = { op: 'split', first: greedy ? split + 1 : past, second: greedy ? past : split + 1 };
}

function jump(to: number): Step {
  return { op: 'split', first: to, second: to };
}

interface Thread {
  readonly step: number;
  readonly saved: Saved | null;
}

/** All ways through the automaton side by side, in order of preference; each step is entered once a character. */
function run(steps: readonly Step[], groups: number, value: string): ReadonlyArray<string | undefined> | null {
  const entered = new Int32Array(steps.length).fill(-1);
  let threads = enter(steps, entered, [], 0, 0, null);
  let at = 0;
  for (const character of value) {
    const codePoint = character.codePointAt(0) ?? 0;
    const next: Thread[] = [];
    at += character.length;
    for (const { step, saved } of threads) {
      const current = steps[step];
      if (current?.op === 'one' && current.accepts(codePoint)) enter(steps, entered, next, step + 1, at, saved);
    }
    if (next.length === 0) return null;
    threads = next;
  }
  const winner = threads.find(({ step }) => steps[step]?.op === 'end');
  return winner === undefined ? null : capturesOf(winner.saved, groups, value);
}

function enter(
  steps: readonly Step[],
  entered: Int32Array,
  threads: Thread[],
  step: number,
  at: number,
  saved: Saved | null,
): Thread[] {
  if (entered[step] === at) return threads;
  entered[step] = at;
  const current = steps[step];
  if (current?.op === 'split') {
    enter(steps, entered, threads, current.first, at, saved);
    return enter(steps, entered, threads, current.second, at, saved);
  }
  if (current?.op === 'save')
    return enter(steps, entered, threads, step + 1, at, { slot: current.slot, at, before: saved });
  threads.push({ step, saved });
  return threads;
}

function capturesOf(saved: Saved | null, groups: number, value: string): ReadonlyArray<string | undefined> {
  const places = new Map<number, number>();
  for (let one = saved; one !== null; one = one.before) if (!places.has(one.slot)) places.set(one.slot, one.at);
  return Array.from({ length: groups + 1 }, (_, group) => {
    if (group === 0) return value;
    const start = places.get(2 * group);
    const end = places.get(2 * group + 1);
    return start === undefined || end === undefined ? undefined : value.slice(start, end);
  });
}
