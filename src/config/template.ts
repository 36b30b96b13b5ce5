// The certgate.yaml that `certgate init` writes: what this installation must know is set, everything else stands there
// as a comment with its default and its meaning. It is made from the schema, so it can't promise what is not so: a test
// loads it, and loads it again with every comment sign taken away, and gets the defaults both times.
import { stringify } from 'yaml';
import type { Leaf } from './given.ts';
import { leaves } from './leaves.ts';

/** What `init` was told; only these are set in the file, the rest stays a comment. */
export interface TemplateChoices {
  readonly trustDomain: string;
  /** Names of the gate's server certificate: DNS names and IP addresses. */
  readonly names: readonly string[];
  /** Absolute, when they are not the default ones. */
  readonly stateDir?: string;
  readonly certsDir?: string;
  /** Absolute; null when none was named. */
  readonly passphraseFile?: string | null;
}

/** The file's text. */
export function configTemplate({ trustDomain, names, passphraseFile = null, ...folders }: TemplateChoices): string {
  const choices: Readonly<Record<string, string | readonly string[]>> = {
    trustDomain,
    'serve.names': names,
    ...folders,
    ...(passphraseFile === null ? {} : { 'ca.passphraseFile': passphraseFile }),
  };
  const lines = [
    '# certgate: configuration of the gate and its CA. Made by `certgate init`; docs/configuration.md explains every key.',
    '# `#key: value` is a setting at its default; flags go before CERTGATE_… variables, and those before this file.',
    '# Relative paths are meant from the folder of this file. Durations: 500ms, 30s, 5m, 24h, 7d.',
    '',
  ];
  let open: readonly string[] = [];
  for (const leaf of leaves) {
    if (leaf.setting.environmentOnly === true) continue;
    const keys = leaf.path.split('.');
    const sections = keys.slice(0, -1);
    const shared = open.findIndex((key, i) => sections[i] !== key);
    for (let depth = shared === -1 ? open.length : shared; depth < sections.length; depth++) {
      if (depth === 0) lines.push('');
      lines.push(`${'  '.repeat(depth)}${sections[depth]}:`);
    }
    open = sections;
    const chosen = choices[leaf.path] ?? null;
    lines.push(...entry(leaf, keys.at(-1) ?? '', chosen).map((line) => '  '.repeat(sections.length) + line));
  }
  return `${lines.join('\n')}\n`;
}

function entry({ setting }: Leaf, key: string, chosen: string | readonly string[] | null): string[] {
  if (chosen !== null) {
    const value = stringify(chosen, { collectionStyle: 'flow', flowCollectionPadding: false, lineWidth: 0 }).trim();
    return [`# ${setting.about}`, `${key}: ${value}`];
  }
  if (setting.fallback === null) return [`# ${setting.about} For example ${setting.example}`, `#${key}:`];
  return [`# ${setting.about}`, `#${key}: ${setting.fallback}`];
}
