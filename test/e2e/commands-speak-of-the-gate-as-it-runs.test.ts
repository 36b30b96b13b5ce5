import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { echo, house } from './harness/scenario.ts';

test('token create and doctor speak of the gate as it runs, with its flags and its variables', async () => {
  const home = await house();
  await writeFile(join(home.dir, 'roles.yaml'), 'bindings: [{role: Viewer, identity: user/alice}]\n');
  const upstream = await echo({});
  const gate = await home.serve({ upstream: upstream.url, env: { CERTGATE_SERVE_POLICY: 'roles.yaml' } });
  const token = await home.certgate(['token', 'create', 'worker/etl-1', '--config', home.config]);
  expect(token.stderr).toContain(`:${gate.port}; it is shown only this once`);
  const doctor = await home.certgate(['doctor', '--config', home.config]);
  expect(doctor.stdout).toContain(`ok    upstream: ${upstream.url} accepts connections`);
  expect(doctor.stdout).toContain('ok    policy: roles.yaml is enforced');
});
