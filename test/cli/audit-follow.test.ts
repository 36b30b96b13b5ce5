import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { expect, inject, test } from 'vitest';
import { openAuditLog } from '../../src/observe/audit-log.ts';
import { auditRecord } from '../observe/records.ts';
import { openShell } from './golden.ts';

/** Starts `certgate audit --follow` and gives its lines one by one. */
function following(folder: string, flags: readonly string[]) {
  const child = spawn(process.execPath, [inject('certgate'), 'audit', '-f', ...flags], { cwd: folder, stdio: 'pipe' });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const next = async (): Promise<string> => String((await lines.next()).value);
  return { child, next };
}

async function shellWithRecord() {
  const shell = openShell();
  shell.run('certgate init');
  const path = join(shell.dir, 'state', 'audit.jsonl');
  const log = await openAuditLog(path);
  await log.append(auditRecord({ requestId: 'first', time: Date.now() + 1000 }));
  return { shell, path, log };
}

test('--follow shows what comes, through a rotation and a restart, of the gate and of the CA, and ends well on SIGINT', async () => {
  const { shell, path, log } = await shellWithRecord();
  const { child, next } = following(shell.dir, ['--json', '--limit', '1']);
  const json = async (): Promise<unknown> => JSON.parse(await next());
  expect(await json()).toMatchObject({ requestId: 'first' });
  log.outcome({ time: 1, requestId: 'first', outcome: 201, ending: 'complete', ms: 3 });
  expect(await json()).toMatchObject({ source: 'gate', requestId: 'first', outcome: 201, ending: 'complete', ms: 3 });
  renameSync(path, `${path}.1`);
  await log.append(auditRecord({ requestId: 'second' }));
  await log.append(auditRecord({ requestId: 'third' }));
  expect(await json()).toMatchObject({ requestId: 'second' });
  expect(await json()).toMatchObject({ requestId: 'third' });
  await log.close();
  const after = await openAuditLog(path);
  await after.append(auditRecord({ requestId: 'fourth' }));
  expect(await json()).toMatchObject({ requestId: 'fourth' });
  await after.close();
  shell.run('certgate issue worker/etl-1');
  expect(await json()).toMatchObject({ source: 'ca', action: 'certificate.issue', object: 'worker/etl-1' });
  child.kill('SIGINT');
  expect(await once(child, 'exit')).toEqual([0, null]);
});

test('--follow keeps to the filters, shows how a write went on a line of its own, and names a line that is no record', async () => {
  const { shell, path, log } = await shellWithRecord();
  const { child, next } = following(shell.dir, ['--limit', '0', '--identity', 'worker/etl-2']);
  let said = '';
  child.stderr.on('data', (part: Buffer) => (said += part.toString()));
  // What is there already is not shown, and what is not wanted neither, nor how that went.
  await log.append(auditRecord({ requestId: 'a' }));
  log.outcome({ time: 0, requestId: 'a', outcome: 201, ending: 'complete', ms: 3 });
  const shown = next();
  let on = true;
  void shown.then(() => (on = false));
  // Until the first is seen: it may have begun later than this.
  for (let i = 0; on; i++) {
    await log.append(auditRecord({ requestId: `b-${i}`, identity: 'worker/etl-2', time: 0 }));
    log.outcome({ time: 0, requestId: `b-${i}`, outcome: 500, ending: 'cut', ms: 3 });
    await new Promise((resolve) => setTimeout(resolve, 150));
  }
  const lines = [await shown];
  while (!lines.some((line) => line.includes('→'))) lines.push(await next());
  expect(lines.filter((line) => !line.includes('→'))[0]).toBe(
    '1970-01-01T00:00:00.000Z  worker/etl-2          permit    POST /api/flow_runs/ (create_flow_run)  -',
  );
  expect(lines.at(-1)).toBe(
    '1970-01-01T00:00:00.000Z  worker/etl-2          -         POST /api/flow_runs/ (create_flow_run)  → 500 cut',
  );
  appendFileSync(path, '{"time":17\n');
  await expect.poll(() => said, { timeout: 10_000 }).toContain('no record: is not a record');
  // Nobody reads any more.
  child.stdout.destroy();
  const ended = once(child, 'exit');
  await log.append(auditRecord({ requestId: 'c', identity: 'worker/etl-2' }));
  await log.append(auditRecord({ requestId: 'd', identity: 'worker/etl-2' }));
  expect(await ended).toEqual([0, null]);
  await log.close();
});
