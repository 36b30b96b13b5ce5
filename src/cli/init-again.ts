// What `certgate init` says where something of a CA is already. It changes nothing. Where an earlier init was killed it names
// the command that ends what that began: the configuration is linked last, just before it issuer.crt (or the request for one).
import { lstat, readdir } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { caFiles, requestFile, storeFile } from '../authority/layout.ts';
import type { Config } from '../config/schema.ts';
import { CertgateError, shellWord } from '../errors.ts';

/** CG_CA_EXISTS where `configuration`, or a file of the CA that it is for, is there. */
export async function requireNothing(
  configuration: string,
  { certsDir, stateDir }: Pick<Config, 'certsDir' | 'stateDir'>,
): Promise<void> {
  const [files, request, store] = [caFiles(certsDir), requestFile(certsDir, 1), storeFile(stateDir)];
  const all = [configuration, ...Object.values<string>({ ...files }), request, store];
  const there: string[] = [];
  for (const path of all) if ((await lstat(path).catch(() => null)) !== null) there.push(path);
  if (there.length === 0) return;
  const has = (path: string): boolean => there.includes(path);
  if (has(configuration)) throw new CertgateError('CG_CA_EXISTS', { files: there });
  const isWhole = has(store) && (has(files.issuerCertificate) || has(request));
  const remedy = isWhole ? await configurationBack(configuration) : outOfTheWay(dirname(configuration), there);
  throw new CertgateError('CG_CA_EXISTS', { files: there, remedy });
}

async function configurationBack(configuration: string): Promise<string> {
  const [dir, name] = [dirname(configuration), basename(configuration)];
  const drafts = (await readdir(dir).catch(() => [])).filter((entry) => entry.startsWith(`.${name}.creating-`));
  const [draft] = drafts;
  const why = `this CA is whole, and lacks only ${name}`;
  return draft === undefined
    ? `${why}: restore it from a backup or write a new one, docs/configuration.md; or make another CA: certgate init --dir DIR`
    : `${why}, as where an init was killed: mv ${shellWord(join(dir, draft))} ${shellWord(configuration)}`;
}

function outOfTheWay(dir: string, files: readonly string[]): string {
  const folder = shellWord(join(dir, 'interrupted'));
  const move = `mkdir ${folder} && mv ${files.map(shellWord).join(' ')} ${folder}`;
  return `choose another folder with --dir DIR; or, if an earlier init was interrupted, nothing was issued with these: ${move}, then init again`;
}
