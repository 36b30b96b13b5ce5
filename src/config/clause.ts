// A sentence as a part of another one: `the certificate …`, but `DNS names …` and `SHA-256 of …` as they are. Pure.

/** `sentence` with its first letter small, unless its first word is written in more capitals than that. */
export function asClause(sentence: string): string {
  const [word = ''] = sentence.split(' ', 1);
  return /[A-Z0-9]/.test(word.slice(1)) ? sentence : sentence.charAt(0).toLowerCase() + sentence.slice(1);
}
