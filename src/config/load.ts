// Loads the configuration: defaults < file < environment < flags, through the one schema. It fails closed and says
// everything that is wrong at once, each problem with its place (file:line:column, the variable or the flag) and its
// remedy. What comes out is complete: paths absolute, durations in milliseconds. Reads one file; writes nothing.
import { existsSync, readFileSync, statSync } from 'node:fs';
import { dirname, isAbsolute, join, relative, resolve } from 'node:path';
import { CertgateError, fileReason, shellWord } from '../errors.ts';
import { parseSocketPath } from './address.ts';
import type { Given, Problem } from './given.ts';
import { issuerProblems, issuerShapeProblem, withAbsolutePaths } from './issuers.ts';
import { type Layer, readEnvironmentLayer, readFileLayer, readFlagLayer } from './layers.ts';
import { leaves } from './leaves.ts';
import { ruleProblems } from './rules.ts';
import { type Config, configSchema } from './schema.ts';

export interface LoadOptions {
  /** The file named by --config; without it CERTGATE_CONFIG, and without that ./certgate.yaml if there is one. */
  readonly file?: string | undefined;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Dotted path of a setting → text behind its flag. */
  readonly flags?: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  /** For `init`: look for no file, but take this folder for the one where it will be. */
  readonly withoutFileIn?: string;
}

/**
 * The checked configuration. No file at all is fine; a file that was named and is not there is not.
 * @throws CG_CONFIG with every problem; CG_CONFIG_FILE when the file cannot be read
 */
export function loadConfig({ file, env, flags = {}, cwd, withoutFileIn }: LoadOptions): Config {
  const named = file ?? fileInEnvironment(env);
  const found = withoutFileIn === undefined ? findFile(named, cwd) : null;
  const dir = found === null ? (withoutFileIn ?? cwd) : dirname(found.path);
  const layers: Layer[] = [
    found === null ? { given: [], problems: [] } : readFileLayer(found.text, shortName(found.path, cwd)),
    readEnvironmentLayer(env),
    readFlagLayer(flags),
  ];
  const given = layers.flatMap((layer) => layer.given);
  const winners = new Map(given.map((one) => [one.leaf.path, one]));
  const problems = [...layers.flatMap((layer) => layer.problems), ...given.flatMap(check)];
  problems.push(...checkTogether(winners), ...overlongSockets(winners, { dir, cwd }));
  if (problems.length > 0) throw new CertgateError('CG_CONFIG', { problems });
  const config = configSchema.parse(treeOf(winners, { dir, cwd }));
  return { ...config, file: found?.path ?? null, dir };
}

function fileInEnvironment(env: LoadOptions['env']): string | undefined {
  const file = env['CERTGATE_CONFIG'];
  return file === '' ? undefined : file;
}

function findFile(named: string | undefined, cwd: string): { path: string; text: string } | null {
  const path = named === undefined ? join(cwd, 'certgate.yaml') : resolve(cwd, named);
  const file = shortName(path, cwd);
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(readFileSync(path));
    // What a full disk leaves of it would be a gate without its policy. Who names /dev/null means nothing.
    if (text.trim() === '' && statSync(path).isFile()) {
      const remedy = 'restore it, or, if the defaults are intended, write a comment into it: # defaults';
      throw new CertgateError('CG_CONFIG_FILE', { file, problem: 'is empty', remedy });
    }
    return { path, text };
  } catch (error) {
    if (error instanceof CertgateError) throw error;
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    if (named === undefined && code === 'ENOENT') return null;
    const inside = join(path, 'certgate.yaml');
    const remedy = `name the file in it: --config ${shellWord(shortName(inside, cwd))}`;
    const meant = code === 'EISDIR' && existsSync(inside) ? { remedy } : {};
    const facts = { file, problem: whyUnread(code, error), ...meant };
    throw new CertgateError('CG_CONFIG_FILE', facts, { cause: error });
  }
}

/** What reading a configuration file failed by, as the end of "the file …". */
export function whyUnread(code: unknown, error: unknown): string {
  if (code === 'ENOENT') return 'does not exist';
  if (code === 'EACCES' || code === 'EPERM') return 'cannot be read by this user';
  if (code === 'EISDIR') return 'is a folder';
  return code === 'ERR_ENCODING_INVALID_ENCODED_DATA' ? 'is not UTF-8 text' : `cannot be read: ${fileReason(error)}`;
}

/** A path as people would type it here: relative when it is below the working directory. */
export function shortName(path: string, cwd: string): string {
  const short = relative(cwd, path);
  return short === '' || short.startsWith('..') || isAbsolute(short) ? path : short;
}

function check(one: Given): Problem[] {
  const { leaf, value } = one;
  const result = leaf.schema.safeParse(value);
  const isIssuers = leaf.path === 'enroll.issuers';
  if (result.success) {
    if (isIssuers) return issuerProblems(one);
    return leaf.setting.kind === 'rules' ? ruleProblems(one) : [];
  }
  if (isIssuers) return result.error.issues.map((issue) => issuerShapeProblem(one, issue));
  const problems = result.error.issues.map((issue) => {
    const inside = issue.path.length > 0 && typeof issue.path[0] === 'number' ? issue.path.slice(0, 1) : [];
    const part = inside.reduce<unknown>((whole, key) => (whole as Record<PropertyKey, unknown>)[key], value);
    const name = `${leaf.path}${inside.map((key) => `[${String(key)}]`).join('')}`;
    const shown = leaf.setting.environmentOnly === true ? 'not shown here' : show(part);
    return {
      place: one.placeOf(inside),
      problem: `${name} is ${shown}; it must be ${leaf.setting.wants}`,
      remedy: `for example: ${one.rightForm}`,
    };
  });
  // One value can miss a rule in two ways, which are told in the same words.
  return [...new Map(problems.map((told) => [told.place + told.problem, told])).values()];
}

function show(value: unknown): string {
  if (value === null || value === '') return 'empty';
  const text = JSON.stringify(value);
  return text.length > 120 ? `${text.slice(0, 120)}…` : text;
}

function checkTogether(winners: ReadonlyMap<string, Given>): Problem[] {
  const problems: Problem[] = [];
  const set = (path: string) => {
    const one = winners.get(path);
    return one === undefined || one.value === null ? undefined : one;
  };
  const [cert, key] = [set('connect.cert'), set('connect.key')];
  const lonely = cert === undefined ? key : key === undefined ? cert : undefined;
  // Beside a folder, one of them alone stands in place of the folder's.
  if (lonely !== undefined && set('connect.identityDir') === undefined) {
    const other = lonely === cert ? 'connect.key' : 'connect.cert';
    const problem = `${lonely.leaf.path} is set without ${other}`;
    problems.push({ place: lonely.placeOf(), problem, remedy: `set ${other} too, or connect.identityDir for both` });
  }
  const [secret, file] = [set('serve.authString'), set('serve.authStringFile')];
  if (secret !== undefined && file !== undefined) {
    const problem = 'serve.authString and serve.authStringFile are both set';
    problems.push({ place: secret.placeOf(), problem, remedy: `unset ${secret.leaf.variable} or ${file.placeOf()}` });
  }
  return problems;
}

/** Sockets that fit as they are written, and no longer once their folder stands before them. */
function overlongSockets(winners: ReadonlyMap<string, Given>, base: { dir: string; cwd: string }): Problem[] {
  return [...winners.values()].flatMap((one) => {
    const { value, leaf } = one;
    if (typeof value !== 'string' || leaf.setting.kind !== 'address' || !leaf.schema.safeParse(value).success)
      return [];
    const whole = absolute(value, 'address', one.fromCwd ? base.cwd : base.dir);
    if (leaf.schema.safeParse(whole).success) return [];
    const octets = Buffer.byteLength(whole) - 'unix:'.length;
    const problem = `${leaf.path} is ${show(value)}, ${octets} octets with its folder; a socket's path has 107 at most`;
    return [{ place: one.placeOf(), problem, remedy: 'for example: unix:/run/certgate/NAME.sock' }];
  });
}

/** The winning values as the schema's input, with relative paths made absolute. */
function treeOf(winners: ReadonlyMap<string, Given>, base: { dir: string; cwd: string }): Record<string, unknown> {
  const tree: Record<string, unknown> = {};
  for (const leaf of leaves) {
    const one = winners.get(leaf.path);
    // Defaults come from the schema, but a default that is a path has to be resolved like any other.
    const fallback = leaf.setting.kind === 'path' ? leaf.setting.fallback : undefined;
    const value = one === undefined ? fallback : one.value;
    if (value === undefined) continue;
    const keys = leaf.path.split('.');
    const last = keys.pop() ?? '';
    let section = tree;
    for (const key of keys) section = subsection(section, key);
    const from = one?.fromCwd === true ? base.cwd : base.dir;
    if (leaf.path === 'enroll.issuers') section[last] = withAbsolutePaths(value, from);
    else section[last] = typeof value === 'string' ? absolute(value, leaf.setting.kind, from) : value;
  }
  return tree;
}

function subsection(tree: Record<string, unknown>, key: string): Record<string, unknown> {
  const section = (tree[key] ?? {}) as Record<string, unknown>;
  tree[key] = section;
  return section;
}

function absolute(value: string, kind: string, base: string): string {
  if (kind === 'path') return resolve(base, value);
  const socket = kind === 'address' ? parseSocketPath(value) : null;
  return socket === null ? value : `unix:${resolve(base, socket)}`;
}
