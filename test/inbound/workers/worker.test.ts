// A worker as its primary sees it, over a channel that is this test: what comes at whichever moment of its start counts.

import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { connect } from 'node:tls';
import { expect, test } from 'vitest';
import { caFiles } from '../../../src/authority/layout.ts';
import { dataPathOptions } from '../../../src/cli/serve-options.ts';
import { loadConfig } from '../../../src/config/load.ts';
import { clientTrustOf, issueServerCertificate } from '../../../src/inbound/server-certificate.ts';
import type { ToPrimary, ToWorker } from '../../../src/inbound/workers/messages.ts';
import { runWorker } from '../../../src/inbound/workers/worker.ts';
import { openCa } from '../../authority/fixture.ts';
import { quietLog } from '../../observe/quiet-log.ts';
import { portOf } from '../../proxy/plain-proxy.ts';

test('a certificate, and whom it trusts, that come while it starts are what it serves with', async () => {
  const { dir, certsDir, store, authority } = await openCa();
  const issue = () => issueServerCertificate(authority, ['localhost', '127.0.0.1'], 3_600_000);
  const [old, renewed] = [await issue(), await issue()];
  const trust = await clientTrustOf(authority);
  const config = loadConfig({ env: {}, cwd: dir });
  const ready = Promise.withResolvers<void>();
  const noted = Promise.withResolvers<void>();
  let hear: (message: ToWorker, socket?: unknown) => void = () => {};
  const said = (message: ToPrimary): void => {
    if (message.kind === 'ready') ready.resolve();
    if (message.kind === 'closed') noted.resolve();
  };
  const done = runWorker({ send: said, listen: (heard) => (hear = heard) }, () => ({
    log: quietLog,
    auditPath: join(dir, 'audit.jsonl'),
    options: dataPathOptions(config, null, store),
    connectionsPerIdentity: Number.POSITIVE_INFINITY,
  }));
  hear({ kind: 'start', start: { config, authString: null, trust, credentials: old, policy: null, workers: 1 } });
  hear({ kind: 'credentials', credentials: renewed, trust });
  await ready.promise;
  const door = createServer((socket) => hear({ kind: 'connection', connection: 1, address: '127.0.0.1' }, socket));
  await once(door.listen(0, '127.0.0.1'), 'listening');
  const ca = readFileSync(caFiles(certsDir).bundle);
  const client = connect({ host: '127.0.0.1', port: portOf(door), ca });
  await once(client, 'secureConnect');
  const shown = client.getPeerX509Certificate()?.serialNumber.toLowerCase();
  client.destroy();
  await noted.promise;
  door.close();
  hear({ kind: 'drain', ms: 0 });
  await done;
  expect(shown).toBe(renewed.serial);
});
