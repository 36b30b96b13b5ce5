// Names in certificates, paths and answers from the net are written by others. Before they reach a terminal, every
// character that would move the cursor, turn the writing direction, join or hide text is written as \u{…}: control
// characters (C0, C1, DEL), bidirectional controls (UAX #9, CVE-2021-42574), zero-width and invisible ones, line and
// paragraph separators, lone surrogates. Everything that can be read stays as it is. Pure.

// The classes Cc, Cf (bidi, zero-width, tags), Cs, Co, Cn, Zl, Zp; then invisible letters, fillers and variation
// selectors, which are in none of them.
const UNPRINTABLE =
  /[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Cn}\p{Zl}\p{Zp}]|\u034f|[\u115f\u1160]|[\u17b4\u17b5]|\u3164|\uffa0|[\ufe00-\ufe0f]|[\u{e0100}-\u{e01ef}]/gu;

/** `text` safe to show on one line of a terminal. */
export function printable(text: string): string {
  return text.replaceAll(UNPRINTABLE, (character) => `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`);
}

/** `value` as JSON on one line, ASCII escapes for everything unprintable: still the same value to every parser. */
export function printableJson(value: unknown, indent?: number): string {
  const json = JSON.stringify(value, null, indent) ?? 'null';
  return json.replaceAll(UNPRINTABLE, (character) => (character === '\n' ? character : jsonEscapes(character)));
}

function jsonEscapes(character: string): string {
  return Array.from({ length: character.length }, (_, i) => {
    return `\\u${character.charCodeAt(i).toString(16).padStart(4, '0')}`;
  }).join('');
}
