// zlint and pkilint, two linters that are not ours: what each says of certificates, a line a finding. scripts/setup builds
// the one and installs the other; `missing` says which is not there.
import { execFile } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { uvicornExtras, uvicornPython } from '../http1/parsers/uvicorn.ts';
import { folderWith } from './openssl.ts';

const run = promisify(execFile);
const zlint = fileURLToPath(new URL('../../.cache/zlint/zlint', import.meta.url));
const pkilintScript = fileURLToPath(new URL('./pkilint_certs.py', import.meta.url));
const pkilintExtras = uvicornExtras.find((folder) => existsSync(join(folder, 'pkilint')));

/** Why a linter can't be asked; null when it can. */
export const missing = {
  zlint: existsSync(zlint) ? null : 'no zlint here: `scripts/setup zlint` builds it where there is Go',
  pkilint:
    uvicornPython !== null && pkilintExtras !== undefined
      ? null
      : 'no pkilint here: `scripts/setup prefect` installs it',
} as const;

/**
 * Left out by source: what browsers' root programmes and the CA/Browser Forum ask of the public web (certificate
 * transparency, policies, public names, lifetimes), and ETSI of qualified certificates. Ours is a private CA.
 */
const PUBLIC_WEB = 'CABF_BR,CABF_EV,CABF_SMIME_BR,Apple,Mozilla,ETSI_ESI,RFC6962';

/** Certificates by name, PEM. What is found by name: `lint severity`, sorted; none is an empty list. */
export type Findings = Readonly<Record<string, readonly string[]>>;

export async function askZlint(certificates: Readonly<Record<string, string>>): Promise<Findings> {
  const folder = folderWith({});
  const found: Record<string, readonly string[]> = {};
  for (const [name, pem] of Object.entries(certificates)) {
    const file = join(folder, 'c.pem');
    writeFileSync(file, pem);
    const { stdout } = await run(zlint, ['-excludeSources', PUBLIC_WEB, file], { maxBuffer: 1 << 24 });
    const lints = Object.entries(JSON.parse(stdout) as Record<string, { result: string }>);
    if (!lints.some(([, { result }]) => result === 'pass')) throw new Error(`zlint passed nothing of ${name}`);
    found[name] = lints
      .flatMap(([lint, { result }]) => (/^(pass|NA|NE)$/.test(result) ? [] : [`${lint} ${result}`]))
      .toSorted();
  }
  return found;
}

export async function askPkilint(certificates: Readonly<Record<string, string>>): Promise<Findings> {
  const names = Object.keys(certificates);
  const files = names.map((_, number) => `${number}.pem`);
  const folder = folderWith(Object.fromEntries(names.map((name, n) => [`${n}.pem`, certificates[name] ?? ''])));
  const { stdout } = await run(uvicornPython ?? '', [pkilintScript, pkilintExtras ?? '', ...files], { cwd: folder });
  const said = JSON.parse(stdout) as Record<string, ReadonlyArray<readonly [string, string, string]>>;
  return Object.fromEntries(
    names.map((name, n) => {
      const findings = said[`${n}.pem`];
      if (findings === undefined) throw new Error(`pkilint said nothing of ${name}`);
      return [name, findings.map(([code, severity, text]) => `${code} ${severity} ${text}`.trim()).toSorted()];
    }),
  );
}
