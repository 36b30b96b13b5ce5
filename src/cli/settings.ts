// Flags that set a setting of the configuration are made from the schema, so that their names, words and defaults are
// the configuration's. Each command says which settings it takes; `configOf` loads the configuration with them on top.
import { type Command, Option } from 'commander';
import { asClause } from '../config/clause.ts';
import { leafAt } from '../config/leaves.ts';
import { loadConfig } from '../config/load.ts';
import type { Config } from '../config/schema.ts';
import type { Setting } from '../config/setting.ts';
import { collect } from './flags.ts';
import { configNamed } from './given-config.ts';
import type { Io } from './io.ts';

const taken = new WeakMap<Command, Map<string, string>>();

const PLACEHOLDER: Readonly<Record<Setting['kind'], string>> = {
  text: 'TEXT',
  path: 'PATH',
  address: 'ADDRESS',
  duration: 'DURATION',
  count: 'N',
  switch: 'BOOLEAN',
  list: 'NAME',
  rules: 'JSON',
};

/** Adds `--config` and the flags of the settings at `paths` (dotted). */
export function withSettings(command: Command, paths: readonly string[] = []): Command {
  return withSettingFlags(command, paths).option(
    '--config <FILE>',
    'the configuration file (default: ./certgate.yaml if there is one)',
  );
}

/** Adds the flags of the settings at `paths`, for a command that reads no file. */
export function withSettingFlags(command: Command, paths: readonly string[]): Command {
  const attributes = new Map<string, string>();
  for (const path of paths) {
    const { setting } = leafAt(path);
    if (setting.flag === undefined) throw new TypeError(`${path} has no flag`);
    const option = new Option(
      `${setting.flag} <${setting.placeholder ?? PLACEHOLDER[setting.kind]}>`,
      optionWords(setting),
    );
    if (setting.kind === 'list') option.argParser(collect);
    command.addOption(option);
    attributes.set(path, option.attributeName());
  }
  taken.set(command, attributes);
  return command;
}

/**
 * The configuration with the command's flags on top of environment and file.
 * @throws CG_CONFIG, CG_CONFIG_FILE
 */
export function configOf(command: Command, io: Io): Config {
  return loadConfig({ file: configNamed(command), env: io.env, flags: flagsOf(command), cwd: io.cwd });
}

/** The settings that the command line gives, by their dotted paths. */
export function flagsOf(command: Command): Readonly<Record<string, string>> {
  const options: Readonly<Record<string, unknown>> = command.opts();
  const flags: Record<string, string> = {};
  for (const [path, attribute] of taken.get(command) ?? []) {
    const value = options[attribute];
    if (typeof value === 'string') flags[path] = value;
    if (Array.isArray(value)) flags[path] = value.join(',');
  }
  return flags;
}

/** Dotted paths of the settings that `command` has flags for. */
export function settingsOf(command: Command): readonly string[] {
  return [...(taken.get(command)?.keys() ?? [])];
}

function optionWords(setting: Setting): string {
  const sentence = asClause(setting.about).replace(/\.$/, '');
  const fallback = setting.fallback === null ? '' : ` (default: ${setting.fallback})`;
  return `${sentence}${setting.kind === 'list' ? '; may be repeated' : ''}${fallback}`;
}
