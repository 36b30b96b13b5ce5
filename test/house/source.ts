// Reads one TypeScript source the way the house rules need it: what it imports, which names it takes off the global
// scope, how long it is and how it opens. Syntax comes from vitest's own parser, so comments and strings never count.

import { parseAst } from 'vitest/node';

/** One source, ready to be judged. */
export interface Source {
  /** From the repository's root, with `/`: `src/pki/keys.ts`. */
  readonly path: string;
  readonly lines: number;
  /** Lines of the comment that the file opens with, a `#!` line not counted. */
  readonly opening: number;
  readonly imports: readonly Import[];
  /** Dotted names read from globals: `process.stdout`, `setTimeout`, `Date.now`, `new Date()`. */
  readonly globals: ReadonlySet<string>;
  /** Every string in it, template parts included. */
  readonly strings: readonly string[];
}

export interface Import {
  /** As written; null when it is computed, so that nobody can tell what it loads. */
  readonly specifier: string | null;
}

interface Node {
  readonly type: string;
  readonly [field: string]: unknown;
}

const isNode = (value: unknown): value is Node =>
  typeof value === 'object' && value !== null && typeof (value as { type?: unknown }).type === 'string';

/** Every node below `node`, itself first. */
function* walk(node: Node): Generator<Node> {
  yield node;
  for (const value of Object.values(node)) {
    for (const child of Array.isArray(value) ? (value as unknown[]) : [value]) if (isNode(child)) yield* walk(child);
  }
}

const literal = (node: unknown): string | null =>
  isNode(node) && typeof node['value'] === 'string' ? node['value'] : null;

/** `a.b` of a member expression on a plain name, `a?.b` and `a['b']` alike. */
function dotted(node: Node): string | null {
  const { object, property } = node as { object?: unknown; property?: unknown };
  if (!isNode(object) || object.type !== 'Identifier' || !isNode(property)) return null;
  const name = property.type === 'Identifier' && node['computed'] !== true ? property['name'] : literal(property);
  return typeof name === 'string' ? `${String(object['name'])}.${name}` : null;
}

function importOf(node: Node): Import | null {
  switch (node.type) {
    case 'ImportDeclaration':
    case 'ExportAllDeclaration':
    case 'ExportNamedDeclaration':
      if (!isNode(node['source'])) return null;
      return { specifier: literal(node['source']) };
    case 'TSImportType':
    case 'ImportExpression':
      return { specifier: literal(node['source']) };
    case 'CallExpression': {
      const callee = node['callee'];
      const name = isNode(callee) ? (dotted(callee) ?? callee['name']) : null;
      if (name !== 'require' && name !== 'process.getBuiltinModule') return null;
      return { specifier: literal((node['arguments'] as unknown[])[0]) };
    }
    default:
      return null;
  }
}

/** Lines of the comment at the top of `text`. */
function openingLines(text: string): number {
  const lines = text.replace(/^#!.*\n/, '').split('\n');
  if (lines[0]?.startsWith('/*') === true) return lines.findIndex((line) => line.includes('*/')) + 1;
  const end = lines.findIndex((line) => !line.startsWith('//'));
  return end === -1 ? lines.length : end;
}

/** Reads `text`, the content of `path`. Throws what the parser throws when it is no TypeScript. */
export function readSource(path: string, text: string): Source {
  const imports: Import[] = [];
  const globals = new Set<string>();
  const strings: string[] = [];
  // oxlint-disable-next-line typescript/no-deprecated -- its successor comes from vite, which we do not depend on
  const tree = parseAst(text, { lang: 'ts' }) as unknown as Node;
  for (const node of walk(tree)) {
    const found = importOf(node);
    if (found !== null) imports.push(found);
    if (node.type === 'MemberExpression') {
      const name = dotted(node);
      if (name !== null) globals.add(name);
    } else if (node.type === 'CallExpression' || node.type === 'NewExpression') {
      const callee = node['callee'];
      if (isNode(callee) && callee.type === 'Identifier') {
        const isBare = node.type === 'NewExpression' && (node['arguments'] as unknown[]).length === 0;
        globals.add(isBare ? `new ${String(callee['name'])}()` : String(callee['name']));
      }
    } else if (node.type === 'Literal' && typeof node['value'] === 'string') {
      strings.push(node['value']);
    } else if (node.type === 'TemplateElement') {
      strings.push((node['value'] as { raw: string }).raw);
    }
  }
  return { path, lines: text.trimEnd().split('\n').length, opening: openingLines(text), imports, globals, strings };
}
