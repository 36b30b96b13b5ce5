// YAML whose every value keeps the place where it stands, read with the same strictness as certgate.yaml: no merge keys, no
// double keys, no tags that make something else of a word. It collects what is wrong instead of stopping at the first.
import { isAlias, isMap, isScalar, isSeq, LineCounter, type Node, parseDocument } from 'yaml';
import { asClause } from './clause.ts';
import type { Problem } from './layers.ts';
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

/** Reads `text`; `file` is what problems call it. */
export function readPlacedYaml(text: string, file: string): PlacedYaml {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, merge: false });
  const at = (offset: number): string => {
    const { line, col } = lines.linePos(offset);
    return `${file}:${Math.max(1, line)}:${Math.max(1, col)}`;
  };
  const problems: Problem[] = [...document.errors, ...document.warnings].map((error) => ({
    place: at(error.pos[0]),
    problem: `this is not YAML: ${asClause(error.message)}`,
    remedy: 'indent with spaces, write `key: value`, and put values with special characters in quotes',
  }));

  const partOf = (given: unknown, fallback: string): Part => {
    const node = (isAlias(given) ? given.resolve(document) : given) as Node | null | undefined;
    if (isAlias(given) && node === undefined) {
      const problem = `nothing is called &${given.source}`;
      problems.push({
        place: at(given.range?.[0] ?? 0),
        problem,
        remedy: `write it out, or name it with &${given.source}`,
      });
    }
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
          } else found.set(name, { ...partOf(value, keyPlace), keyPlace });
        }
        return found;
      },
      items: () => (empty ? [] : isSeq(node) ? node.items.map((item) => partOf(item, place)) : [partOf(given, place)]),
      // As it stands: `yes` and `1.0` are words too.
      words: () => (isScalar(node) && node.value !== null ? (node.source ?? '') : null),
    };
  };
  return { root: partOf(problems.length > 0 ? null : document.contents, `${file}:1:1`), problems };
}

function keysWords(known: readonly string[] | null): string {
  return known === null ? 'write `name: …` on lines of its own' : `the keys are ${known.join(', ')}`;
}
