import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { checkRecord } from '../../src/cli/doctor/machine.ts';
import { loadConfig } from '../../src/config/load.ts';
import { openAuditLog } from '../../src/observe/audit-log.ts';
import { holderOf } from '../../src/store/lock-file.ts';
import { auditRecord, newFolder } from './records.ts';

const linux = process.platform === 'linux';

/** Stops it while it holds the lock of the record at `path`. */
async function stopHolding(child: ChildProcess, path: string): Promise<void> {
  for (;;) {
    child.kill('SIGSTOP');
    // The signal is delivered, and its state shown, a moment later.
    for (let i = 0; i < 20; i++) {
      const holder = holderOf(`${path}.lock`);
      if (holder?.pid === child.pid && holder?.stopped === true) return;
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    child.kill('SIGCONT');
    await new Promise((resolve) => setTimeout(resolve, 7));
  }
}

test.runIf(linux)(
  'a gate that is stopped while it holds the record is named to the other, and by doctor; when it is killed the other writes',
  async () => {
    const folder = newFolder();
    const path = join(folder, 'audit.jsonl');
    const script = join(import.meta.dirname, 'audit-writer.ts');
    const child = spawn(process.execPath, [script, path, 'a'], { stdio: ['ignore', 'pipe', 'inherit'] });
    const ended = once(child, 'exit');
    await once(child.stdout, 'data');
    child.stdout.resume();
    const config = { ...loadConfig({ env: {}, cwd: folder }), stateDir: folder };
    await stopHolding(child, path);
    const log = await openAuditLog(path).catch((error: unknown) => String(error));
    const said =
      typeof log === 'string' ? log : await log.append(auditRecord()).catch((error: unknown) => String(error));
    expect(said).toContain(`another process holds ${path}.lock: ${child.pid}, which is stopped`);
    expect(checkRecord(config)).toMatchObject([
      { level: 'fail', found: `process ${child.pid} is stopped and holds the record, so no other gate can write it` },
    ]);
    child.kill('SIGKILL');
    await ended;
    expect(checkRecord(config)).toEqual([]);
    const after = typeof log === 'string' ? await openAuditLog(path) : log;
    await after.append(auditRecord());
    await after.close();
    rmSync(folder, { recursive: true });
  },
  60_000,
);
