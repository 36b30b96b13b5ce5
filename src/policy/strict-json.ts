// JSON that has one reading: what Python's json and JavaScript's JSON.parse take alike. Both take the last of a name that
// stands twice in an object; other readers take the first, so such a text is refused, at any depth, as is one that is nested
// deeper than anything that Prefect takes. Pure, and bounded by the length of the text.

export type StrictJson =
  | { readonly ok: true; readonly value: unknown }
  /** Ends the sentence "the body …". */
  | { readonly ok: false; readonly problem: string };

/** Levels that objects and lists may be nested in. */
const DEEPEST = 200;
const QUOTE = 0x22;
const COLON = 0x3a;
const BACKSLASH = 0x5c;
const OPEN_LIST = 0x5b;
const CLOSE_LIST = 0x5d;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;

/** What is open: a list, or an object by its names so far. Most have few, and nothing is made for those. */
type Open = typeof LIST | typeof NAMELESS | string | Set<string>;
const LIST = 0;
const NAMELESS = 1;
const TWICE = 'has a name twice';

/** Reads `text`. Never throws. */
export function parseStrictJson(text: string): StrictJson {
  try {
    // First: nothing takes JSON.parse as long as a text of brackets alone.
    const problem = structureProblem(text);
    return problem === null ? { ok: true, value: JSON.parse(text) as unknown } : { ok: false, problem };
  } catch {
    return { ok: false, problem: 'is not JSON' };
  }
}

/**
 * Goes once through `text`: a client may make it as long as it may, and nobody else is served meanwhile. Of what is not JSON it
 * may say anything, or throw.
 */
function structureProblem(text: string): string | null {
  /** What is open around `here`. */
  const around: Open[] = [];
  let here: Open = LIST;
  let name = '';
  for (let at = 0; at < text.length; at++) {
    switch (text.charCodeAt(at)) {
      case QUOTE: {
        const end = endOfString(text, at);
        // What is behind a name is a colon; of other strings nothing is wanted.
        if (here !== LIST) name = text.slice(at, end);
        at = end - 1;
        break;
      }
      case COLON: {
        if (here === LIST) break;
        const known = name.includes('\\') ? String(JSON.parse(name)) : name.slice(1, -1);
        if (here === NAMELESS) here = known;
        else if (typeof here === 'string') {
          if (here === known) return TWICE;
          here = new Set([here, known]);
        } else if (here.has(known)) return TWICE;
        else here.add(known);
        break;
      }
      case OPEN_OBJECT:
      case OPEN_LIST:
        around.push(here);
        here = text.charCodeAt(at) === OPEN_OBJECT ? NAMELESS : LIST;
        if (around.length > DEEPEST) return 'is nested too deep';
        break;
      case CLOSE_OBJECT:
      case CLOSE_LIST:
        here = around.pop() ?? LIST;
    }
  }
  return null;
}

/** Where the string that begins at `from` has ended; the end of `text` where it does not. */
export function endOfString(text: string, from: number): number {
  for (let end = text.indexOf('"', from + 1); end >= 0; end = text.indexOf('"', end + 1)) {
    let before = end;
    while (text.charCodeAt(before - 1) === BACKSLASH) before--;
    if ((end - before) % 2 === 0) return end + 1;
  }
  return text.length;
}

/** Whether `value`, of a parsed JSON, is an object. */
export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
