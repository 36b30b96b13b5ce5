import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { within } from './harness/eventually.ts';
import { credentialsIn } from './harness/house.ts';
import { echo, house } from './harness/scenario.ts';
import { ask, get, openTls } from './harness/wire.ts';

test('a revocation that only stands in the store, with no word to the gate, cuts all the same', async () => {
  const home = await house();
  const [worker, alice] = await Promise.all([home.issue('worker/etl-1'), home.issue('user/alice')]);
  const gate = await home.serve({ upstream: (await echo()).url });
  const [gone, stays] = await Promise.all([
    openTls(gate.port, await credentialsIn(worker)),
    openTls(gate.port, await credentialsIn(alice)),
  ]);
  expect((await ask(gone, get('/api/hello'))).status).toBe(200);
  expect((await ask(stays, get('/api/hello'))).status).toBe(200);

  await rm(join(home.dir, 'state', 'control.sock'));
  await home.certgate(['revoke', 'worker/etl-1', '--config', home.config]);

  await within('the connection is cut', gone.ended);
  await gate.logged((line) => line['identity'] === 'worker/etl-1' && line.msg === 'revoked: connections cut');
  expect((await ask(stays, get('/api/hello'))).status).toBe(200);
  stays.socket.destroy();
});
