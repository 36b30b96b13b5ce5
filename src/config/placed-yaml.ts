// YAML whose every value keeps the place where it stands, read with the same strictness as certgate.yaml: no merge keys, no
// double keys, no tags that make something else of a word. It collects what is wrong instead of stopping at the first. Reading
// takes time by the length of the text: a gate reads while it serves, so what aliases write out again is bounded.
import { type Alias, isAlias, isMap, isScalar, isSeq, LineCounter, type Node, parseDocument, visit } from 'yaml';
import { asClause } from './clause.ts';
import type { Problem } from './given.ts';
import { nearest } from './nearest.ts';

/** A node of the file: ask it for what it should be, and it says itself where it is not. */
export interface Part {
  readonly place: string;
  /** Whether nothing stands there. */
  readonly empty: boolean;
  /** Its keys with what stands behind them, in order; `known` are all that it may have (null: any). */
  entries(known: readonly string[] | null): ReadonlyMap<string, Part & { readonly keyPlace: string }>;
  /** Its items; a value that is no list is a list of one. */
  items(): readonly Part[];
  /** Its text as written, or null when it is a list or a map. */
  words(): string | null;
}

export interface PlacedYaml {
  readonly root: Part;
  readonly problems: Problem[];
}

/** Values that aliases may write out again. */
const MOST_BY_ALIAS = 100_000;
const TOO_DEEP = /call stack/;
/** How YAML is read here; the library says nothing by itself on stderr. */
export const READING = { prettyErrors: false, merge: false, logLevel: 'error' } as const;

/** Reads `text`; `file` is what problems call it. */
export function readPlacedYaml(text: string, file: string): PlacedYaml {
  const lines = new LineCounter();
  // The library compares each key with each other of a map; a Part compares names, and `true` and "true" are the same one.
  const document = parseDocument(text, { lineCounter: lines, ...READING, uniqueKeys: false });
  const at = (offset: number): string => {
    const { line, col } = lines.linePos(offset);
    return `${file}:${Math.max(1, line)}:${Math.max(1, col)}`;
  };
  const problems: Problem[] = faultsOf(document).map((error) => ({ place: at(error.pos[0]), ...wordsOf(error) }));

  let named: ReadonlyMap<Alias, Node> | null = null;
  let byAlias = 0;
  const partOf = (given: unknown, fallback: string, again: boolean): Part => {
    named ??= isAlias(given) ? aliasesIn(document) : null;
    const node = (isAlias(given) ? named?.get(given) : given) as Node | null | undefined;
    const repeated = again || isAlias(given);
    if (repeated && ++byAlias > MOST_BY_ALIAS) {
      if (byAlias === MOST_BY_ALIAS + 1) {
        const problem = `its aliases (*name) write out more than ${MOST_BY_ALIAS} values`;
        problems.push({ place: fallback, problem, remedy: 'write a role that contains it once, and bind that' });
      }
      return partOf(null, fallback, false);
    }
    if (isAlias(given) && node === undefined) problems.push(lostAlias(given, at(given.range?.[0] ?? 0)));
    const range = (given as Node | null | undefined)?.range;
    const place = range === undefined || range === null ? fallback : at(range[0]);
    const empty = node === null || node === undefined || (isScalar(node) && node.value === null);
    return {
      place,
      empty,
      entries(known) {
        const found = new Map<string, Part & { keyPlace: string }>();
        if (empty) return found;
        if (!isMap(node)) {
          problems.push({ place, problem: 'keys are wanted here', remedy: keysWords(known) });
          return found;
        }
        for (const { key, value } of node.items) {
          const keyPlace = at((key as Node | null)?.range?.[0] ?? 0);
          const name = isScalar(key) ? (key.source ?? '') : '(not a name)';
          if (known !== null && !known.includes(name)) {
            const near = nearest(name, known);
            const remedy = near === null ? keysWords(known) : `did you mean ${near}?`;
            problems.push({ place: keyPlace, problem: `there is no key ${name} here`, remedy });
          } else if (found.has(name)) {
            problems.push({ place: keyPlace, problem: `${name} is here twice`, remedy: 'remove one of them' });
          } else found.set(name, { ...partOf(value, keyPlace, repeated), keyPlace });
        }
        return found;
      },
      items: () =>
        empty
          ? []
          : isSeq(node)
            ? node.items.map((item) => partOf(item, place, repeated))
            : [partOf(node, place, again)],
      // As it stands: `yes` and `1.0` are words too.
      words: () => (isScalar(node) && node.value !== null ? (node.source ?? '') : null),
    };
  };
  return { root: partOf(problems.length > 0 ? null : document.contents, `${file}:1:1`, false), problems };
}

type Fault = ReturnType<typeof parseDocument>['errors'][number];

/** What the library finds wrong with the text; of nesting too deep for it, which it says again on its way out, once. */
export function faultsOf({ errors, warnings }: ReturnType<typeof parseDocument>): readonly Fault[] {
  const faults = [...errors, ...warnings];
  const deep = faults.find((error) => TOO_DEEP.test(error.message));
  return deep === undefined ? faults : [deep];
}

/** A fault of the text in our words. */
export function wordsOf({ code, message }: Fault): Omit<Problem, 'place'> {
  if (code === 'MULTIPLE_DOCS')
    return {
      problem: 'another document begins here (---)',
      remedy: 'put everything into one document, and remove the other',
    };
  const problem = TOO_DEEP.test(message) ? 'this is nested too deeply' : `this is not YAML: ${asClause(message)}`;
  return {
    problem,
    remedy: 'indent with spaces, write `key: value`, and put values with special characters in quotes',
  };
}

/** That nothing before it is called as an alias says. */
export function lostAlias({ source }: Alias, place: string): Problem {
  const remedy = /^\w/.test(source)
    ? `write it out, or name it with &${source}`
    : `put it in quotes, if the * is meant: '*${source}'`;
  return { place, problem: `there is no &${source}`, remedy };
}

/** What each alias stands for: the last before it that has its name. */
function aliasesIn(document: ReturnType<typeof parseDocument>): ReadonlyMap<Alias, Node> {
  const anchors = new Map<string, Node>();
  const found = new Map<Alias, Node>();
  visit(document, {
    Alias(_key, alias) {
      const node = anchors.get(alias.source);
      if (node !== undefined) found.set(alias, node);
    },
    Value(_key, node) {
      if (node.anchor !== undefined) anchors.set(node.anchor, node);
    },
  });
  return found;
}

function keysWords(known: readonly string[] | null): string {
  return known === null ? 'write `name: …` on lines of its own' : `the keys are ${known.join(', ')}`;
}
