import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { checkpointIn } from '../../src/observe/audit-checkpoint.ts';
import { filesOf } from '../../src/observe/audit-files.ts';
import { verifyAudit } from '../../src/observe/audit-verify.ts';
import { idsIn, newFolder } from './records.ts';
import { judge, KEY_VARIABLE, privateKey } from './signed.ts';

const SCRIPT = new URL('audit-dying.ts', import.meta.url).pathname;

test('killed before each change of the file system in turn, through rotations and retirements, the record verifies and has lost nothing', {
  timeout: 300_000,
}, async () => {
  const path = join(newFolder(), 'audit.jsonl');
  const env = { ...process.env, [KEY_VARIABLE]: privateKey.export({ type: 'pkcs8', format: 'pem' }) };
  const acknowledged: string[] = [];
  let [ended, killed] = [false, 0];
  for (let point = 1; !ended; point++) {
    const { stdout, stderr, signal } = spawnSync(process.execPath, [SCRIPT, path, `${point}`, `k${point}`], {
      env,
      encoding: 'utf8',
    });
    expect(stderr).toBe('');
    const said = stdout.trimEnd().split('\n');
    // A gate that starts finds what was signed, or what has become of it.
    expect(said.filter((line) => line.startsWith('missing'))).toEqual([]);
    acknowledged.push(...said.filter((line) => line.startsWith('k')));
    ended = said.some((line) => line.startsWith('changes'));
    if (signal === 'SIGKILL') killed++;
    else expect(ended).toBe(true);

    const files = await filesOf(path);
    const kept = checkpointIn(await readJson(`${path}.kept.json.tmp`));
    const verdict = await verifyAudit(files, {
      judge,
      kept: kept === null ? [] : [{ from: 'kept', checkpoint: kept }],
    });
    expect({ point, wrong: verdict.findings.filter(({ harmless }) => !harmless) }).toEqual({ point, wrong: [] });
    const found = new Set((await Promise.all(files.map(idsIn))).flat());
    const lost = acknowledged.filter((id) => !found.has(id));
    // Only what was retired: the oldest, without a gap.
    expect(lost).toEqual(acknowledged.slice(0, lost.length));
    if (lost.length > 0) expect(verdict.retired?.rule).toBe('keepFiles 1');
  }
  expect(killed).toBeGreaterThan(20);
});

async function readJson(file: string): Promise<unknown> {
  try {
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch {
    return null;
  }
}
