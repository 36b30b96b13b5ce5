import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { credentialsIn } from './harness/house.ts';
import { echo, house } from './harness/scenario.ts';
import { ask, openTls } from './harness/wire.ts';

test('a gate of two workers has its record go on in other files under load, once for each, and removes the oldest; what is left is proven whole', async () => {
  const home = await house();
  const credentials = await credentialsIn(await home.issue('worker/etl-1'));
  const upstream = await echo();
  const env = { CERTGATE_AUDIT_ROTATE_SIZE: '1MiB', CERTGATE_AUDIT_KEEP_FILES: '1' };
  const gate = await home.serve({ upstream: upstream.url, flags: ['--workers', '2'], env });
  // Long lines fill a file sooner.
  const post = `PATCH /api/flow_runs/${'x'.repeat(1500)} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}`;
  const answered: string[] = [];
  const client = async (): Promise<void> => {
    const wire = await openTls(gate.port, credentials);
    for (let i = 0; i < 160; i++) {
      const { status, headers } = await ask(wire, post);
      expect(status).toBe(200);
      answered.push(headers['x-request-id'] ?? '');
    }
    wire.socket.destroy();
  };
  await Promise.all(Array.from({ length: 16 }, client));
  expect((await gate.stop()).code).toBe(0);

  const rotated = gate.log().filter(({ msg }) => msg === 'the record continues in a new file');
  const retired = gate.log().filter(({ msg }) => msg === 'the oldest files of the record are retired');
  expect(rotated.length).toBeGreaterThanOrEqual(3);
  expect(retired.length).toBeGreaterThanOrEqual(1);
  const names = (await readdir(join(home.dir, 'state'))).filter((name) => name.endsWith('.jsonl')).toSorted();
  const gone = retired.flatMap(({ files }) => files as string[]);
  expect(names).toHaveLength(rotated.length - gone.length + 1);
  const texts = await Promise.all(names.map((name) => readFile(join(home.dir, 'state', name), 'latin1')));
  for (const text of texts.slice(0, -1)) expect(text.length).toBeGreaterThanOrEqual(1024 * 1024);
  const kept = texts.join('');
  const first = answered.findIndex((id) => kept.includes(`"requestId":"${id}"`));
  expect(first).toBeGreaterThan(0);
  const verified = await home.certgate(['audit', '--verify', '--config', home.config]);
  expect(verified.stdout).toContain('(keepFiles 1), signed by issuer 1, active');
  const { stdout } = await home.certgate(['audit', '--json', '--limit', '5000', '--config', home.config]);
  const told = new Set(stdout.split('\n').flatMap((line) => /"requestId":"([^"]+)"/.exec(line)?.[1] ?? []));
  // From 32 on that were under way together, all that came later is there.
  expect(answered.slice(first + 32).filter((id) => !told.has(id))).toEqual([]);
});
