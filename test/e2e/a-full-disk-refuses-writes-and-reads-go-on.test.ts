import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { fill, ownFileSystem } from '../store/file-system.ts';
import { eventually } from './harness/eventually.ts';
import { credentialsIn, makeHouse } from './harness/house.ts';
import { echo, folder } from './harness/scenario.ts';
import { type Answer, ask, get, openTls } from './harness/wire.ts';

const WRITE = `PATCH /api/flows/11111111-1111-4111-8111-111111111111 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}`;

test('a gate whose disk is full answers reads, refuses what it cannot record, and goes on by itself when there is room', async (context) => {
  const state = ownFileSystem(context, '4m');
  const place = await folder();
  const home = await makeHouse(join(place, 'house'), { CERTGATE_STATE_DIR: state });
  const gate = await home.serve({ upstream: (await echo()).url });
  const alice = await credentialsIn(await home.issue('user/alice'));
  const open = await openTls(gate.port, alice);
  // Each on a connection of its own: an answer in place of Prefect's ends it.
  const write = async (): Promise<Answer> => await ask(await openTls(gate.port, alice), WRITE);
  expect((await write()).status).toBe(200);

  const filler = fill(state);
  // The last page of the record has some room of its own. The write that finds none was on its way already: 500, which
  // Prefect's client does not repeat. From then on none goes through.
  const found = await eventually('a write is not recorded', async () => {
    const answer = await write();
    return answer.status === 200 ? undefined : answer;
  });
  expect([found.status, found.body.toString()]).toEqual([500, expect.stringContaining('could not be recorded')]);
  for (let n = 0; n < 3; n++) {
    const { status, headers } = await write();
    expect([status, headers['retry-after'], headers['prefect-maintenance']]).toEqual([503, '2', 'true']);
  }
  for (const wire of [open, await openTls(gate.port, alice)]) {
    expect((await ask(wire, get('/api/hello'))).status).toBe(200);
  }
  const health = await home.certgate(['health', '--config', home.config], 1);
  expect(health.stdout).toContain('store ok, record FAILED');
  // The commands beside it: nothing new is recorded, a backup to another disk is made.
  const failed = await eventually('nothing more can be issued', async () => {
    const out = join(place, `out-${Math.random()}`);
    return await home.certgate(['issue', 'user/bob', '--config', home.config, '--out', out], 6).catch(() => undefined);
  });
  expect(failed.stderr).toContain('[CG_STORE_FULL]');
  const backup = await home.certgate(['backup', '--config', home.config, '--out', join(place, 'backup')]);
  expect(backup.stderr).toContain('the backup is complete, but not noted in the record');

  await rm(filler);
  await eventually('writes go on', async () => ((await write()).status === 200 ? true : undefined));
  await home.certgate(['health', '--config', home.config]);
  const record = await home.certgate(['audit', '--config', home.config]);
  expect(record.stdout).toContain('entries missing');
  await gate.stop();
});
