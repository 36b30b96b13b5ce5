// Runs a pattern's tree over a value without ever going back: the tree becomes a row of steps (Thompson's construction),
// and all ways through them are followed side by side, one character at a time, in the order of preference that a
// backtracking matcher has; captures go along (Pike). The work is at most steps times characters, whatever the value.

/** What a pattern is made of. `most` may be Infinity; `only` is the one character that is accepted, where that is known. */
export type Node =
  | { readonly kind: 'one'; readonly accepts: (codePoint: number) => boolean; readonly only?: string }
  | { readonly kind: 'all'; readonly parts: readonly Node[] }
  | { readonly kind: 'any'; readonly parts: readonly Node[] }
  | { readonly kind: 'capture'; readonly group: number; readonly inner: Node }
  | {
      readonly kind: 'repeat';
      readonly inner: Node;
      readonly least: number;
      readonly most: number;
      readonly greedy: boolean;
    };

type Step =
  | { readonly op: 'one'; readonly accepts: (codePoint: number) => boolean }
  | { readonly op: 'split'; readonly first: number; readonly second: number }
  | { readonly op: 'save'; readonly slot: number }
  | { readonly op: 'end' };

/** A position taken by a capture, and the ones taken before it. */
interface Saved {
  readonly slot: number;
  readonly at: number;
  readonly before: Saved | null;
}

/** The captures by group number, 0 being the whole value; undefined where a group took no part. */
export type Captures = ReadonlyArray<string | undefined>;

/** More than that many steps are refused: 256 characters over them take 1 to 3 ms at worst. */
const MOST_STEPS = 500;

/** What values there are, read a character at a time; `next` answers null where none goes on like that. */
export interface Language {
  readonly alphabet: string;
  readonly start: string;
  readonly next: (state: string, character: string) => string | null;
  readonly ends: (state: string) => boolean;
}

export interface Automaton {
  readonly match: (value: string) => Captures | null;
  /** Whether there is a value of `language` that it matches; also true once no effort is left to find out, which it takes from `effort`. */
  readonly meets: (language: Language, effort: { left: number }) => boolean;
}

/** The automaton of a tree of `groups` captures, or null when it would have too many steps. */
export function compile(tree: Node, groups: number): Automaton | null {
  const steps: Step[] = [];
  emit(tree, steps);
  steps.push({ op: 'end' });
  if (steps.length > MOST_STEPS) return null;
  return { match: (value) => run(steps, groups, value), meets: (language, effort) => meets(steps, language, effort) };
}

/** Both are followed at once, each pair of where they stand once, until both are at an end: at once for most patterns. */
function meets(steps: readonly Step[], { alphabet, start, next, ends }: Language, effort: { left: number }): boolean {
  const seen = new Set<string>();
  const open: Array<readonly [step: number, state: string]> = [[0, start]];
  for (let one = open.pop(); one !== undefined; one = open.pop()) {
    const [step, state] = one;
    const pair = `${step} ${state}`;
    const current = steps[step];
    if (seen.has(pair) || current === undefined) continue;
    seen.add(pair);
    if (effort.left-- <= 0) return true;
    if (current.op === 'end' && ends(state)) return true;
    if (current.op === 'split') open.push([current.second, state], [current.first, state]);
    if (current.op === 'save') open.push([step + 1, state]);
    if (current.op !== 'one') continue;
    for (const character of alphabet) {
      const then = current.accepts(character.codePointAt(0) ?? 0) ? next(state, character) : null;
      if (then !== null) open.push([step + 1, then]);
    }
  }
  return false;
}

function emit(node: Node, steps: Step[]): void {
  if (steps.length > MOST_STEPS) return;
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
  if (others.length === 0) {
    emit(part, steps);
    return;
  }
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
function run(steps: readonly Step[], groups: number, value: string): Captures | null {
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

function capturesOf(saved: Saved | null, groups: number, value: string): Captures {
  const places = new Map<number, number>();
  for (let one = saved; one !== null; one = one.before) if (!places.has(one.slot)) places.set(one.slot, one.at);
  return Array.from({ length: groups + 1 }, (_, group) => {
    if (group === 0) return value;
    const start = places.get(2 * group);
    const end = places.get(2 * group + 1);
    return start === undefined || end === undefined ? undefined : value.slice(start, end);
  });
}
