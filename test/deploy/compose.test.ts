import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { unknownIn } from './command-lines.ts';
import { composeGo, deploy, hadolint, skippedFor } from './tools.ts';

interface Service {
  readonly image: string;
  readonly command: readonly string[];
  readonly entrypoint?: readonly string[];
  readonly healthcheck?: { readonly test: readonly string[] };
  readonly networks?: readonly string[];
  readonly network_mode?: string;
  readonly cap_drop?: readonly string[];
  readonly read_only?: boolean;
  readonly ports?: readonly string[];
}
const folder = join(deploy, 'compose');
const { services } = parse(readFileSync(join(folder, 'compose.yaml'), 'utf8')) as { services: Record<string, Service> };

test.skipIf(composeGo.missing !== null)(
  `the loader of docker compose takes compose.yaml${skippedFor(composeGo)}`,
  () => {
    const { code, said } = composeGo.run(['compose.yaml'], folder);
    expect([code, said]).toEqual([0, expect.stringContaining('name: certgate')]);
  },
);

test.skipIf(hadolint.missing !== null)(`hadolint minds nothing in the Dockerfile${skippedFor(hadolint)}`, () => {
  expect(hadolint.run(['Dockerfile'])).toEqual({ code: 0, said: '' });
});

test('compose runs commands of certgate that there are, and every service without rights', async () => {
  for (const [name, { image, command, entrypoint, healthcheck, ...service }] of Object.entries(services)) {
    expect([name, service.cap_drop]).toEqual([name, ['ALL']]);
    if (!image.startsWith('certgate')) continue;
    expect([name, service.read_only]).toEqual([name, true]);
    expect(await unknownIn([...(entrypoint ?? ['certgate']), ...command]), name).toEqual([]);
    expect(await unknownIn(healthcheck?.test.slice(1) ?? []), name).toEqual([]);
  }
});

test('in compose only the gate reaches Prefect, and only the gate’s port is published', () => {
  const inside = Object.entries(services).filter(([, { networks }]) => networks?.includes('inside') === true);
  expect(inside.map(([name]) => name).toSorted()).toEqual(['gate', 'prefect']);
  expect(Object.entries(services).flatMap(([name, { ports }]) => (ports === undefined ? [] : [[name, ports]]))).toEqual(
    [['gate', ['8443:8443']]],
  );
});
