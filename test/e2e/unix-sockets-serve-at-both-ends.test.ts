import { stat } from 'node:fs/promises';
import { request } from 'node:http';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { Seen } from './harness/echo.ts';
import { echo, folder, house } from './harness/scenario.ts';

test('the gate reaches an upstream on a unix socket, and a sidecar serves on one that only its owner can open', async () => {
  const [home, temporary] = await Promise.all([house(), folder()]);
  const [near, far] = [join(temporary, 'sidecar.sock'), join(temporary, 'prefect.sock')];
  await echo({ path: far });
  const gate = await home.serve({ upstream: `unix:${far}` });
  await home.connect(gate, await home.issue('worker/etl-1'), ['--listen', `unix:${near}`]);
  expect((await stat(near)).mode & 0o777).toBe(0o600);

  const body = await new Promise<string>((resolve, reject) => {
    const call = request({ socketPath: near, path: '/api/hello', headers: { host: 'localhost' } }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (part: string) => {
        text += part;
      });
      response.on('end', () => resolve(text));
    });
    call.on('error', reject);
    call.end();
  });
  const seen = JSON.parse(body) as Seen;
  expect(seen.headers).toContainEqual(['x-certgate-identity', 'worker/etl-1']);
});
