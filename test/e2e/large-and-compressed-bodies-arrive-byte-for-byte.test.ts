import { createHash } from 'node:crypto';
import { beforeAll, expect, test } from 'vitest';
import { fetchAvailable, post } from './harness/api.ts';
import { house, sharedPrefect } from './harness/scenario.ts';
import { ask, get, openTcp } from './harness/wire.ts';

const FIVE_MEGABYTES = 5 * 1024 * 1024;
const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
let sidecar: { readonly url: string; readonly port: number };

beforeAll(async () => {
  const home = await house();
  const [gate, identity] = await Promise.all([home.serve({ upstream: sharedPrefect() }), home.issue('user/alice')]);
  sidecar = await home.connect(gate, identity);
}, 300_000);

test.each(['with a Content-Length', 'in chunks'])(
  'an artifact of 5 MB, sent %s, is read back as it was',
  async (how) => {
    const data = 'é'.repeat(FIVE_MEGABYTES / 2);
    const text = JSON.stringify({ key: 'large', type: 'text', data });
    const made = await fetchAvailable(`${sidecar.url}/api/artifacts/`, () => ({
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: how === 'in chunks' ? new Blob([text]).stream() : text,
      ...(how === 'in chunks' ? { duplex: 'half' } : {}),
    }));
    expect(made.status).toBe(201);
    const { id } = (await made.json()) as { id: string };
    const read = (await (await fetch(`${sidecar.url}/api/artifacts/${id}`)).json()) as { data: string };
    expect(read.data.length).toBe(data.length);
    expect(read.data === data).toBe(true);
  },
);

test('a block document of 5 MB is read back as it was', async () => {
  const secret = 's'.repeat(FIVE_MEGABYTES);
  const type = (await (await fetch(`${sidecar.url}/api/block_types/slug/secret`)).json()) as { id: string };
  const [schema] = await post<Array<{ id: string }>>(sidecar.url, '/block_schemas/filter', {
    block_schemas: { block_type_id: { any_: [type.id] } },
  });
  const { id } = await post<{ id: string }>(sidecar.url, '/block_documents/', {
    name: 'large-block',
    block_type_id: type.id,
    block_schema_id: schema?.id,
    data: { value: secret },
  });
  const read = await fetch(`${sidecar.url}/api/block_documents/${id}?include_secrets=true`);
  expect(((await read.json()) as { data: { value: string } }).data.value === secret).toBe(true);
});

test('the download of a flow run’s logs streams through as Prefect sends it', async () => {
  const flow = await post<{ id: string }>(sidecar.url, '/flows/', { name: 'logs-download' });
  const run = await post<{ id: string }>(sidecar.url, '/flow_runs/', {
    flow_id: flow.id,
    state: { type: 'COMPLETED' },
  });
  const timestamp = new Date().toISOString();
  for (let batch = 0; batch < 3; batch++) {
    const lines = Array.from({ length: 1000 }, (_, i) => ({
      name: 'certgate.test',
      level: 20,
      message: `line ${batch * 1000 + i} ${'x'.repeat(500)}`,
      timestamp,
      flow_run_id: run.id,
    }));
    // Answered 201 with the body `null`.
    expect(await post(sidecar.url, '/logs/', lines)).toBeNull();
  }
  const download = async (url: string): Promise<{ type: string | null; size: number; sum: string }> => {
    const response = await fetch(`${url}/api/flow_runs/${run.id}/logs/download`);
    const bytes = new Uint8Array(await response.arrayBuffer());
    return { type: response.headers.get('content-type'), size: bytes.length, sum: sha256(bytes) };
  };
  const through = await download(sidecar.url);
  expect(through).toEqual(await download(sharedPrefect()));
  expect(through.size).toBeGreaterThan(1_500_000);
  expect(through.type).toContain('text/csv');
});

test('a body that Prefect has compressed arrives as the same bytes, with the same headers', async () => {
  const compressed = async (port: number): Promise<{ encoding: string | undefined; sum: string; size: number }> => {
    const wire = await openTcp(port);
    const answer = await ask(wire, get('/api/openapi.json', 'Accept-Encoding: gzip'));
    wire.socket.destroy();
    const bytes = Buffer.from(answer.body);
    expect(bytes.subarray(0, 3).toString('hex')).toBe('1f8b08');
    // gzip's header holds the second in which it was made (RFC 1952 §2.3.1).
    bytes.fill(0, 4, 8);
    return { encoding: answer.headers['content-encoding'], sum: sha256(bytes), size: bytes.length };
  };
  const through = await compressed(sidecar.port);
  expect(through).toEqual(await compressed(Number(new URL(sharedPrefect()).port)));
  expect(through.encoding).toBe('gzip');
  expect(through.size).toBeGreaterThan(20_000);
});
