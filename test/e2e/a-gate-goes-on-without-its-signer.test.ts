import { spawnSync } from 'node:child_process';
import { copyFile, mkdir, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { certgateCommand, logOf } from './harness/house.ts';
import { cleanEnvironment, type Running, start } from './harness/processes.ts';
import { atEnd, echo, house } from './harness/scenario.ts';

test('a gate whose key is with a signer has no key, serves on when the signer is killed, and issues when it is back', async () => {
  const [home, server] = await Promise.all([house(), echo()]);
  const signerDir = join(home.dir, 'signer');
  await mkdir(signerDir, { mode: 0o700 });
  await rename(join(home.dir, 'certs/issuer.key'), join(signerDir, 'issuer.key'));
  for (const name of ['issuer.crt', 'ca.crt']) await copyFile(join(home.dir, 'certs', name), join(signerDir, name));
  const address = `unix:${join(signerDir, 's.sock')}`;
  const startSigner = async (): Promise<Running> => {
    const args = ['signer', '--key', join(signerDir, 'issuer.key'), '--listen', address, '--config', home.config];
    const running = start(...certgateCommand(args), { env: cleanEnvironment({}), cwd: signerDir });
    atEnd(() => running.stop('SIGKILL'));
    await running.line((line) => line.includes('"msg":"listening"'));
    return running;
  };

  const signer = await startSigner();
  const gate = await home.serve({ upstream: server.url, flags: ['--signer', address] });
  const worker = await home.issue('worker/etl-1', '--signer', address);
  const sidecar = await home.connect(gate, worker);
  const answers = async (): Promise<number> => (await fetch(`${sidecar.url}/api/hello`)).status;
  expect(await answers()).toBe(200);
  const signed = logOf(signer.stderr()).filter(({ msg, kind }) => msg === 'signed' && kind === 'certificate');
  expect(signed.map(({ names }) => (names as readonly string[])[0])).toEqual([
    expect.not.stringContaining('spiffe:'),
    'spiffe://certgate.internal/worker/etl-1',
  ]);

  await signer.stop('SIGKILL');
  expect(await answers()).toBe(200);
  const refused = await home.certgate(['issue', 'worker/etl-2', '--config', home.config, '--signer', address], 7);
  expect(refused.stderr).toMatch(/^error: the signer at .* cannot be reached: .* \[CG_SIGNER\]\nhint: /);
  expect(await answers()).toBe(200);

  await startSigner();
  await home.issue('worker/etl-2', '--signer', address);
  expect(await answers()).toBe(200);
  const verified = spawnSync('openssl', ['verify', '-CAfile', join(worker, 'ca.crt'), join(worker, 'tls.crt')]);
  expect(verified.status).toBe(0);
});
