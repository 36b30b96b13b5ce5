// Three of the four layers of the configuration, each read on its own: the file (YAML 1.2), the environment and the
// flags. (The fourth, the defaults, stands in the schema.) A layer answers what it sets and everything wrong with it; it
// never throws for what a person wrote. Every value keeps the place it came from, so that a problem can be pointed at.

import { type Document, isAlias, isMap, isScalar, LineCounter, type Node, parseDocument, visit } from 'yaml';
import type { Given, Leaf, Problem } from './given.ts';
import { keysOf, leafAt, leaves } from './leaves.ts';
import { nearest } from './nearest.ts';
import { faultsOf, lostAlias, READING, wordsOf } from './placed-yaml.ts';

const WRITE_OUT = 'write out its value';

export interface Layer {
  readonly given: readonly Given[];
  readonly problems: readonly Problem[];
}

/** Reads the text of a configuration file; `file` is what problems call it. */
export function readFileLayer(text: string, file: string): Layer {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, ...READING });
  const at = (offset: number) => {
    const { line, col } = lines.linePos(offset);
    return `${file}:${Math.max(1, line)}:${Math.max(1, col)}`;
  };
  const given: Given[] = [];
  const problems: Problem[] = faultsOf(document).map((error) => {
    const place = at(error.pos[0]);
    const again = error.code === 'DUPLICATE_KEY' ? keyTwice(document, error.pos[0]) : null;
    if (again !== null) {
      const { name, first } = again;
      const remedy = `write both under the one ${name}: at ${at(first)}`;
      return { place, problem: `${name} is here a second time`, remedy };
    }
    return { place, ...wordsOf(error) };
  });
  visit(document, {
    Alias(_key, alias, way) {
      const place = at(alias.range?.[0] ?? 0);
      const target = alias.resolve(document);
      // What says nothing would be as if it were not set.
      if (target === undefined) problems.push(lostAlias(alias, place));
      else if (way.includes(target))
        problems.push({ place, problem: `*${alias.source} stands in itself`, remedy: WRITE_OUT });
    },
  });
  if (problems.length > 0) return { given, problems };

  const read = (node: unknown, path: readonly string[]): void => {
    const target = isAlias(node) ? node.resolve(document) : node;
    if (target === null || target === undefined || (isScalar(target) && target.value === null)) return;
    if (!isMap(target)) {
      const place = at((node as Node).range?.[0] ?? 0);
      problems.push({ place, problem: `${path.join('.') || 'the file'} must hold keys`, remedy: keysRemedy(path) });
      return;
    }
    for (const { key, value } of target.items) {
      const name = isScalar(key) ? (key.source ?? String(key.value)) : '(not a name)';
      const keyAt = at((key as Node).range?.[0] ?? 0);
      const here = [...path, name];
      const dotted = here.join('.');
      if (!keysOf(path)?.includes(name)) {
        problems.push({ place: keyAt, problem: `there is no setting ${dotted}`, remedy: keyRemedy(name, path) });
      } else if (keysOf(here) !== null) {
        read(value, here);
      } else if (leafAt(dotted).setting.environmentOnly === true) {
        const { variable } = leafAt(dotted);
        const asFile = leaves.find((leaf) => leaf.path.endsWith(`${dotted}File`));
        const remedy = `take it out, and set ${variable}${asFile === undefined ? '' : ` or ${asFile.path}`}`;
        problems.push({ place: keyAt, problem: `${dotted} is a secret and may not be in the file`, remedy });
      } else {
        const leaf = leafAt(dotted);
        const found = isAlias(value) ? value.resolve(document) : (value as Node | null);
        let plain: unknown = null;
        try {
          plain = found?.toJS(document) ?? null;
        } catch {
          problems.push({ place: keyAt, problem: 'its aliases (*name) write out too much', remedy: WRITE_OUT });
          continue;
        }
        given.push({
          leaf,
          value: scalarText(leaf, found) ?? plain,
          placeOf: (inside = []) => {
            // What is missing is missing in the next thing around it.
            const parts = inside.map((_, i) => document.getIn([...here, ...inside.slice(0, inside.length - i)], true));
            const ranges = [...parts, found, key].map((part) => (part as Node | null | undefined)?.range);
            return at(ranges.find((range) => range !== undefined && range !== null)?.[0] ?? 0);
          },
          rightForm: `${name}: ${leaf.setting.example}`,
          fromCwd: false,
        });
      }
    }
  };
  read(document.contents, []);
  return { given, problems };
}

/** The key at `offset`, which its map has already, and where that has it first. */
function keyTwice(document: Document, offset: number): { readonly name: string; readonly first: number } | null {
  let found: { readonly name: string; readonly first: number } | null = null;
  visit(document, {
    Map(_key, { items }) {
      const keys = items.flatMap(({ key }) =>
        isScalar(key) ? [{ name: key.source ?? String(key.value), at: key.range?.[0] ?? 0 }] : [],
      );
      const name = keys.find(({ at }) => at === offset)?.name;
      const first = keys.find((one) => one.name === name);
      if (name === undefined || first === undefined) return undefined;
      found = { name, first: first.at };
      return visit.BREAK;
    },
  });
  return found;
}

/** Variables of certgate's that are no settings: where the file is, and tokens to enrol with. */
const NO_SETTINGS: readonly string[] = ['CERTGATE_CONFIG', 'CERTGATE_TOKEN', 'CERTGATE_IDENTITY_TOKEN_FILE'];

/** What the environment sets. An unknown `CERTGATE_*` is a problem; an empty one is as if it were not set. */
export function readEnvironmentLayer(env: Readonly<Record<string, string | undefined>>): Layer {
  const known = new Map(leaves.map((leaf) => [leaf.variable, leaf]));
  const given: Given[] = [];
  const problems: Problem[] = [];
  for (const [name, text] of Object.entries(env)) {
    if (!name.startsWith('CERTGATE_') || NO_SETTINGS.includes(name) || text === undefined) continue;
    const leaf = known.get(name);
    if (leaf === undefined) {
      if (isKubernetesServiceVariable(name, text)) continue;
      const [prefix, ...names] = ['CERTGATE_', ...NO_SETTINGS, ...known.keys()];
      const near = nearest(
        name.slice(prefix.length),
        names.map((one) => one.slice(prefix.length)),
      );
      const remedy =
        near === null ? `unset ${name}; docs/configuration.md lists the names` : `did you mean ${prefix}${near}?`;
      problems.push({ place: name, problem: 'certgate knows no such variable', remedy });
    } else if (text !== '') {
      const again = leaf.setting.kind === 'rules' ? keyTwiceInJson(text) : null;
      if (again !== null) problems.push({ place: name, ...again });
      given.push(fromText(leaf, text, name, `${name}=${textExample(leaf)}`));
    }
  }
  return { given, problems };
}

/** What the command line sets: dotted paths to the text behind the flag. */
export function readFlagLayer(flags: Readonly<Record<string, string | undefined>>): Layer {
  const given = Object.entries(flags).flatMap(([path, text]) => {
    if (text === undefined) return [];
    const leaf = leafAt(path);
    const flag = leaf.setting.flag ?? `--${path}`;
    return [fromText(leaf, text, flag, `${flag} ${textExample(leaf)}`)];
  });
  return { given, problems: [] };
}

function fromText(leaf: Leaf, text: string, place: string, rightForm: string): Given {
  return { leaf, value: typedValue(leaf, text), placeOf: () => place, rightForm, fromCwd: true };
}

function typedValue(leaf: Leaf, text: string): unknown {
  switch (leaf.setting.kind) {
    case 'count':
      return /^\d{1,15}$/.test(text) ? Number(text) : text;
    case 'switch':
      return text === 'true' ? true : text === 'false' ? false : text;
    case 'list':
      return text.split(',').map((item) => item.trim());
    case 'rules':
      return parseJson(text);
    default:
      return text;
  }
}

/** A key that an object of `text` has twice: JSON's reader takes the last, and the rule that it makes can be a wider one. */
function keyTwiceInJson(text: string): Omit<Problem, 'place'> | null {
  const document = parseDocument(text, READING);
  const at = document.errors.find(({ code }) => code === 'DUPLICATE_KEY')?.pos[0];
  const again = at === undefined ? null : keyTwice(document, at);
  return again === null ? null : { problem: `${again.name} stands twice in one {…}`, remedy: 'remove one of them' };
}

/** A value that is accepted outside the file, where a list is separated by commas and rules are JSON. */
function textExample({ setting }: Leaf): string {
  if (setting.kind === 'list') return setting.example.replace(/^\[(.*)\]$/, '$1').replaceAll(', ', ',');
  return setting.inEnvironment ?? setting.example;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** `minTls: 1.3` is a number to YAML and a version to us: where text is wanted, a plain scalar is taken as written. */
function scalarText(leaf: Leaf, node: unknown): string | null {
  const wantsText = leaf.setting.kind === 'text' || leaf.setting.kind === 'path';
  const plain = isScalar(node) && node.type === 'PLAIN' && node.value !== null ? node.source : undefined;
  return wantsText && plain !== undefined ? plain : null;
}

// Kubernetes puts these into every pod beside a service whose name starts with `certgate`; they are not ours. What has
// such a name and another value was meant for us: CERTGATE_LISTEN_PORT=9000.
const KUBERNETES_SERVICE: ReadonlyArray<readonly [name: RegExp, value: RegExp]> = [
  [/_SERVICE_HOST$/, /^[\d.:a-f]+$/i],
  [/_SERVICE_PORT(_[A-Z0-9_]+)?$/, /^\d+$/],
  [/_PORT(_\d+_(TCP|UDP|SCTP))?$/, /^\w+:\/\//],
  [/_PORT_\d+_(TCP|UDP|SCTP)_PROTO$/, /^(tcp|udp|sctp)$/],
  [/_PORT_\d+_(TCP|UDP|SCTP)_PORT$/, /^\d+$/],
  [/_PORT_\d+_(TCP|UDP|SCTP)_ADDR$/, /^[\d.:a-f]+$/i],
];

function isKubernetesServiceVariable(name: string, text: string): boolean {
  return KUBERNETES_SERVICE.some(([names, values]) => names.test(name) && values.test(text));
}

function keyRemedy(name: string, path: readonly string[]): string {
  const keys = keysOf(path) ?? [];
  const near = nearest(name, keys);
  if (near !== null) return `did you mean ${near}?`;
  const elsewhere = leaves.find((leaf) => leaf.path.split('.').at(-1) === name);
  return elsewhere === undefined ? keysRemedy(path) : `did you mean ${elsewhere.path}?`;
}

function keysRemedy(path: readonly string[]): string {
  return `${path.length === 0 ? 'the keys' : `the keys of ${path.join('.')}`} are ${(keysOf(path) ?? []).join(', ')}`;
}
