// JSON that has one reading: what Python's json and JavaScript's JSON.parse take alike. Both take the last of a name that
// stands twice in an object; other readers take the first, so such a text is refused, at any depth, as is one that is nested
// deeper than anything that Prefect takes. Pure, and bounded by the length of the text.

export type StrictJson =
  | { readonly ok: true; readonly value: unknown }
  /** Ends the sentence "the body …". */
  | { readonly ok: false; readonly problem: string };

/** Levels that objects and lists may be nested in. */
const DEEPEST = 200;
const TOKEN = /"(?:[^"\\]|\\.)*"|[{}[\],:]/g;

/** Reads `text`. Never throws. */
export function parseStrictJson(text: string): StrictJson {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return { ok: false, problem: 'is not JSON' };
  }
  const problem = structureProblem(text);
  return problem === null ? { ok: true, value } : { ok: false, problem };
}

/** The names of each object that is open, null for a list. */
function structureProblem(text: string): string | null {
  const open: (Set<string> | null)[] = [];
  let last: string | null = null;
  for (const [token] of text.matchAll(TOKEN)) {
    if (token === '{' || token === '[') {
      open.push(token === '{' ? new Set() : null);
      if (open.length > DEEPEST) return 'is nested too deep';
    } else if (token === '}' || token === ']') open.pop();
    else if (token === ':') {
      const names = open.at(-1) ?? null;
      const name = String(JSON.parse(last ?? '""'));
      if (names?.has(name) === true) return 'has a name twice';
      names?.add(name);
    } else last = token.startsWith('"') ? token : null;
  }
  return null;
}

/** Whether `value`, of a parsed JSON, is an object. */
export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
