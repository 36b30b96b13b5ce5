import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { factsOf, readCertificate } from '../../src/pki/certificates.ts';
import { readCrl } from '../../src/pki/read-crl.ts';
import { credentialsIn } from './harness/house.ts';
import { atEnd, echo, folder, house } from './harness/scenario.ts';
import { ask, type Credentials, get, openTls } from './harness/wire.ts';

test('yesterday’s backup and today’s revocation list make a gate that lets in nobody whom the old one would refuse', async () => {
  const home = await house();
  const upstream = (await echo()).url;
  const gate = await home.serve({ upstream });
  const issue = async (name: string) => credentialsIn(await home.issue(name));
  const [alice, bob] = [await issue('user/alice'), await issue('user/bob')];
  const statusOf = async (port: number, who: Credentials): Promise<number> =>
    (await ask(await openTls(port, who), get('/api/hello'))).status;
  expect(await statusOf(gate.port, bob)).toBe(200);

  const place = await folder();
  const backup = join(place, 'backup');
  await home.certgate(['backup', '--config', home.config, '--out', backup]);

  // The day goes on: carol comes, dave comes and goes, bob goes.
  const [carol, dave] = [await issue('user/carol'), await issue('user/dave')];
  for (const name of ['user/bob', 'user/dave']) await home.certgate(['revoke', name, '--config', home.config]);
  expect(await statusOf(gate.port, carol)).toBe(200);
  const exported = async (config: string, name: string) => {
    const file = join(place, name);
    await home.certgate(['crl', 'export', '--config', config, '--out', file, '--format', 'der']);
    return await readFile(file);
  };
  const list = await exported(home.config, 'newest.crl');
  const url = await publish(list);
  await gate.stop();

  const dir = join(place, 'restored');
  const ran = await home.certgate(['restore', backup, '--dir', dir, '--crl', url]);
  expect(ran.stderr).toContain('revoked again: 1 that were valid in the backup, 1 that it does not know');
  const config = join(dir, 'certgate.yaml');
  const again = await home.serve({ upstream, flags: ['--config', config] });
  expect(await statusOf(again.port, alice)).toBe(200);
  const refused = async (who: Credentials): Promise<unknown> => {
    const answer = await ask(await openTls(again.port, who), get('/api/hello'));
    return [answer.status, (JSON.parse(answer.body.toString()) as { detail: string }).detail];
  };
  expect(await refused(bob)).toEqual([403, expect.stringContaining('revoked')]);
  expect(await refused(dave)).toEqual([403, expect.stringContaining('revoked')]);
  expect(await refused(carol)).toEqual([403, expect.stringContaining('not in the records')]);

  const out = join(place, 'carol');
  await home.certgate(['issue', 'user/carol', '--config', config, '--out', out]);
  expect(await statusOf(again.port, await credentialsIn(out))).toBe(200);

  // Whoever checks against this CA is told the same as before, by a list that is newer.
  const [before, after] = [readCrl(list), readCrl(await exported(config, 'next.crl'))];
  const serials = [bob, dave].map(({ cert }) => factsOf(readCertificate(firstOf(cert ?? ''))).serial);
  const named = after.entries.map(({ serial }) => serial);
  expect(named.toSorted()).toEqual(serials.toSorted());
  expect(after.number).toBe((before.number ?? 0n) + 1n);
});

/** `content` at a URL. */
async function publish(content: Uint8Array): Promise<string> {
  const server = createServer((_, response) => response.end(content));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  atEnd(async () => void server.close());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/issuer.crl`;
}

function firstOf(pem: string): string {
  return `${pem.split('-----END CERTIFICATE-----')[0] ?? ''}-----END CERTIFICATE-----\n`;
}
