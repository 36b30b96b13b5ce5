// The way that docs/signer.md describes, "A new issuer", by hand and step by step, but for systemd.
import { copyFile, mkdir, readFile, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { eventually } from './harness/eventually.ts';
import { certgateCommand } from './harness/house.ts';
import { cleanEnvironment, type Running, start } from './harness/processes.ts';
import { atEnd, echo, house } from './harness/scenario.ts';

test('a gate whose key is with a signer gets a new issuer whose key goes to the signer, without a restart', async () => {
  const [home, server] = await Promise.all([house(), echo()]);
  const [certs, signerDir] = [join(home.dir, 'certs'), join(home.dir, 'signer')];
  await mkdir(signerDir, { mode: 0o700 });
  await rename(join(certs, 'issuer.key'), join(signerDir, 'issuer.key'));
  for (const name of ['issuer.crt', 'ca.crt']) await copyFile(join(certs, name), join(signerDir, name));
  const address = `unix:${join(signerDir, 's.sock')}`;
  const startSigner = async (...files: readonly string[]): Promise<Running> => {
    const keys = files.flatMap((file) => ['--key', join(signerDir, file)]);
    const args = ['signer', ...keys, '--listen', address, '--config', home.config];
    const running = start(...certgateCommand(args), { env: cleanEnvironment({}), cwd: signerDir });
    atEnd(() => running.stop('SIGKILL'));
    await running.line((line) => line.includes('"msg":"listening"'));
    return running;
  };
  const signer = await startSigner('issuer.key');
  const gate = await home.serve({ upstream: server.url, flags: ['--signer', address] });
  const worker = await home.issue('worker/etl-1', '--signer', address);
  const sidecar = await home.connect(gate, worker);
  const answers = async (): Promise<number> => (await fetch(`${sidecar.url}/api/hello`)).status;
  expect(await answers()).toBe(200);

  const given = ['--config', home.config, '--signer', address];
  const refused = await home.certgate(['ca', 'rotate', 'issuer', ...given], 5);
  expect(refused.stderr).toContain('ca rotate issuer --key-here`');
  const rotated = await home.certgate(['ca', 'rotate', 'issuer', '--key-here', ...given]);
  const key = join(certs, 'issuer-2.key');
  expect(rotated.stdout).toContain(key);
  expect(rotated.stderr).toContain(`take ${key} to the signer now`);
  // The old signer has not the new key: nothing is issued, and everybody goes on.
  expect((await home.certgate(['issue', 'worker/etl-2', ...given], 5)).stderr).toContain('[CG_SIGNER_KEY]');
  expect(await answers()).toBe(200);

  await rename(key, join(signerDir, 'issuer-2.key'));
  for (const name of ['issuer-2.crt', 'ca.crt']) await copyFile(join(certs, name), join(signerDir, name));
  await signer.stop('SIGTERM');
  await startSigner('issuer.key', 'issuer-2.key');
  await eventually(
    'the gate has a certificate by the new issuer',
    () => gate.log().some(({ msg }) => msg === 'server certificate renewed') || undefined,
  );
  expect(await answers()).toBe(200);
  const next = await home.issue('worker/etl-2', '--signer', address);
  const chain = await readFile(join(next, 'tls.crt'), 'utf8');
  expect(chain).toContain((await readFile(join(certs, 'issuer-2.crt'), 'utf8')).trim());
  const other = await home.connect(gate, next);
  expect((await fetch(`${other.url}/api/hello`)).status).toBe(200);
});
