// Options stand where a person writes them: `certgate ca --config FILE rotate issuer` is `certgate ca rotate --config FILE
// issuer`. What stands before the name of a subcommand and is an option of it goes behind that name; a command's own options
// stay its own. Nothing is guessed: an option that subcommands know in two ways, or none knows, is left for the parser to
// refuse. Pure.
import type { Command, Option } from 'commander';

/** `words`, which follow the name of `command`, as its parser takes them. */
export function inOrder(command: Command, words: readonly string[]): string[] {
  const [own, early]: [string[], string[]] = [[], []];
  for (let at = 0; at < words.length; at++) {
    const word = words[at] ?? '';
    if (!word.startsWith('-') || word === '-') {
      const sub = command.commands.find((one) => one.name() === word);
      if (sub === undefined) return [...words];
      return [...own, word, ...inOrder(sub, [...early, ...words.slice(at + 1)])];
    }
    const isOwn = wantsValue(command.options, word);
    const wants = isOwn ?? wantsValue(optionsBelow(command), word);
    if (wants === null) return [...words];
    const side = isOwn === null ? early : own;
    side.push(word);
    const value = words[at + 1];
    if (wants && value !== undefined) {
      side.push(value);
      at++;
    }
  }
  return [...words];
}

/** Whether the option at the beginning of `word` takes the next word; null where none of `options` is it, or not all alike. */
function wantsValue(options: readonly Option[], word: string): boolean | null {
  const [flag = ''] = word.split('=');
  const wants = new Set(
    options
      .filter(({ long, short }) => flag === long || flag === short)
      .map(({ required }) => required && !word.includes('=')),
  );
  return wants.size === 1 ? wants.has(true) : null;
}

/** Of all commands below it. */
function optionsBelow({ commands }: Command): readonly Option[] {
  return commands.flatMap((one) => [...one.options, ...optionsBelow(one)]);
}
