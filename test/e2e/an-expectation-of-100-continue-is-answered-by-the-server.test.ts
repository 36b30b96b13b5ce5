import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { cleanEnvironment, finish } from './harness/processes.ts';
import { folder, house, sharedPrefect } from './harness/scenario.ts';

test('curl’s Expect: 100-continue is answered by Prefect through both sidecars, and the body follows', async () => {
  const home = await house();
  const [gate, identity, temporary] = await Promise.all([
    home.serve({ upstream: sharedPrefect() }),
    home.issue('user/alice'),
    folder(),
  ]);
  const sidecar = await home.connect(gate, identity);
  const file = join(temporary, 'artifact.json');
  await writeFile(file, JSON.stringify({ key: 'expected', type: 'text', data: 'x'.repeat(1_500_000) }));
  const upload = async (...flags: string[]): Promise<string> => {
    const common = ['-sv', '--max-time', '50', '-o', '/dev/null', '-H', 'Content-Type: application/json'];
    // Without an answer curl would wait so long before it sends the body that the test would fail.
    const waits = ['-H', 'Expect: 100-continue', '--expect100-timeout', '45'];
    const ran = await finish('curl', [...common, ...waits, '--data-binary', `@${file}`, ...flags], {
      env: cleanEnvironment(),
    });
    expect(ran.code, ran.stderr).toBe(0);
    return ran.stderr;
  };
  const mutual = [
    '--cacert',
    join(identity, 'ca.crt'),
    '--cert',
    join(identity, 'tls.crt'),
    '--key',
    join(identity, 'tls.key'),
  ];

  for (const said of [
    await upload(`${sidecar.url}/api/artifacts/`),
    await upload(...mutual, `https://127.0.0.1:${gate.port}/api/artifacts/`),
    await upload('-H', 'Transfer-Encoding: chunked', `${sidecar.url}/api/artifacts/`),
  ]) {
    expect(said).toMatch(/< HTTP\/1\.1 100 Continue.*< HTTP\/1\.1 201 Created/s);
  }
});
