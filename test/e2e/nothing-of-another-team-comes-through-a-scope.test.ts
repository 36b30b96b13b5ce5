// A scope before a real Prefect that has one of everything of two teams: whatever an Owner of the one team asks, in whatever form,
// no word of the other's comes back and no row of the other's is another afterwards.

import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { beforeAll, expect, inject, test } from 'vitest';
import { WebSocket } from 'ws';
import { fetchAvailable, post } from './harness/api.ts';
import { eventually } from './harness/eventually.ts';
import { type Ask, asks, PARTS } from './harness/leaks.ts';
import { atEnd, house, sharedPrefect } from './harness/scenario.ts';
import { CANARY, makeTeam, rowsOf, type Team } from './harness/two-teams.ts';

const SCOPES = { pool: 'pools: [leak-a]', tag: 'tag: leak-a', both: 'pools: [leak-a], tag: leak-a' } as const;
type Name = keyof typeof SCOPES | 'viewer' | 'maker';
const POLICY = `roles:
  maker: {extends: [Viewer], permissions: [manage_blocks]}
bindings:
${Object.entries(SCOPES)
  .map(([name, scope]) => `  - {role: Owner, identity: user/${name}, ${scope}}`)
  .join('\n')}
  - {role: Viewer, identity: user/viewer}
  - {role: maker, identity: user/maker}
`;
/** Flows are shared: who makes a deployment or a run of one reads what it is called, and its tags and labels. */
const SHARED = new Set(['flow', 'flow-tag', 'flow-label'].map((what) => `${CANARY}-${what}`));
/** Pools carry no tag, and are read by whoever is within one. */
const OF_POOLS = new Set(['pool', 'template', 'queue', 'worker'].map((what) => `${CANARY}-${what}`));

/** The home of the shared Prefect, with its database: test/e2e/prefect-setup.ts makes it. */
const home = (): string => join(inject('session'), `prefect-${process.env['VITEST_POOL_ID']}`);

let own: Team;
let other: Team;
const urls = new Map<Name, string>();

interface Said {
  readonly status: number;
  readonly text: string;
}

async function ask(url: string, { method, path, body }: Ask): Promise<Said> {
  const answer = await fetchAvailable(`${url}/api${path}`, () => ({
    method,
    redirect: 'manual',
    ...(body !== undefined && { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }),
  }));
  return { status: answer.status, text: `${await answer.text()} ${answer.headers.get('location') ?? ''}` };
}

async function made<T>(method: string, path: string, body?: unknown): Promise<T> {
  const { status, text } = await ask(sharedPrefect(), { method, path, body });
  // What was tried again, because Prefect was busy, may be there already.
  if (status >= 300 && status !== 409) throw new Error(`${method} ${path}: ${status} ${text}`);
  return (text.trim() === '' ? null : JSON.parse(text)) as T;
}

beforeAll(async () => {
  const gates = await house();
  const policy = join(gates.dir, 'policy.yaml');
  await writeFile(policy, POLICY);
  const gate = await gates.serve({ upstream: sharedPrefect(), flags: ['--policy', policy] });
  for (const name of ['pool', 'tag', 'both', 'viewer', 'maker'] as const)
    urls.set(name, (await gates.connect(gate, await gates.issue(`user/${name}`))).url);
  own = await makeTeam(made, 'leak-a', 'leak-a', (what) => `own-${what}`);
  other = await makeTeam(made, 'leak-b', 'leak-b', (what) => `${CANARY}-${what}`);
}, 300_000);

/** Words of the other team's in an answer that were not in what was asked. */
function wordsIn(text: string, sent: string): readonly string[] {
  const words = text.match(new RegExp(`${CANARY}-[a-z-]*[a-z]`, 'g')) ?? [];
  return [...new Set(words)].filter((word) => !sent.includes(word));
}

test('who listens to events and logs hears of its own, whatever it asks for', async () => {
  const heard = new Map<string, string>();
  // Without an end Prefect takes the time of the question for it.
  const occurred = { since: '2026-01-01T00:00:00Z', until: '2100-01-01T00:00:00Z' };
  for (const name of ['pool', 'both'] as const) {
    for (const [path, filter] of [
      ['events', { occurred }],
      ['events', { occurred, resource: { id: [`prefect.flow-run.${other.ids['run']}`] } }],
      ['logs', {}],
      ['logs', { flow_run_id: { any_: [other.ids['run']] } }],
    ] as const) {
      const key = `${name} ${path} ${JSON.stringify(filter)}`;
      heard.set(key, '');
      const socket = new WebSocket(`${(urls.get(name) ?? '').replace('http', 'ws')}/api/${path}/out`, 'prefect');
      atEnd(async () => await Promise.resolve(socket.terminate()));
      socket.on('message', (text: Buffer) => heard.set(key, `${heard.get(key)}${text.toString()}\n`));
      await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject));
      socket.send('{"type":"auth","token":null}');
      socket.send(JSON.stringify({ type: 'filter', filter }));
      await eventually('it is let in', () => (heard.get(key) === '' ? undefined : true));
    }
  }
  await sleep(500);
  for (const [team, word] of [
    [other, `${CANARY}-said`],
    [own, 'own-said'],
  ] as const) {
    const id = `prefect.flow-run.${team.ids['run']}`;
    const resource = { 'prefect.resource.id': id, 'prefect.resource.name': word };
    const now = new Date().toISOString();
    await made('POST', '/events', [
      { id: crypto.randomUUID(), occurred: now, event: word, resource, related: [], payload: {} },
    ]);
    await made('POST', '/logs/', [
      { name: 'l', level: 20, message: word, timestamp: now, flow_run_id: team.ids['run'] },
    ]);
  }
  for (const key of heard.keys()) {
    if (!key.includes(other.ids['run'] ?? ''))
      await eventually(`${key} hears its own`, () => (heard.get(key)?.includes('own-said') ? true : undefined));
  }
  expect([...heard].filter(([, text]) => wordsIn(text, '').length > 0)).toEqual([]);
}, 300_000);

test('a secret of a block comes to nobody without see_secret_blocks, however it is asked for and wherever it stands', async () => {
  const slug = `leak-${Date.now()}`;
  const type = await made<{ id: string }>('POST', '/block_types/', { name: slug, slug });
  const fields = {
    title: slug,
    type: 'object',
    properties: {},
    secret_fields: ['plain', 'object', 'many.word', 'named', 'all.*'],
  };
  const schema = await made<{ id: string }>('POST', '/block_schemas/', {
    block_type_id: type.id,
    fields,
    capabilities: [],
  });
  const word = 'never-to-be-seen';
  const data = {
    plain: word,
    object: { a: { b: word } },
    many: [{ word }],
    named: { k: word },
    all: { z: { y: word } },
    open: 'seen',
  };
  const about = { block_type_id: type.id, block_schema_id: schema.id };
  const block = await made<{ id: string }>('POST', '/block_documents/', { name: 'leaks', ...about, data });
  const to = { object: { $ref: { block_document_id: block.id } } };
  // Who makes blocks may write a schema without secrets, and refer to a block that has some.
  const bare = {
    block_type_id: type.id,
    fields: { title: 'bare', type: 'object', properties: { object: {} }, secret_fields: [] },
    capabilities: [],
  };
  const maker = urls.get('maker') ?? '';
  const ownSchema = JSON.parse((await ask(maker, { method: 'POST', path: '/block_schemas/', body: bare })).text) as {
    id: string;
  };
  const refers = { name: 'refers', block_type_id: type.id, block_schema_id: ownSchema.id, data: to };
  const paths = [
    `/block_documents/${block.id}`,
    `/block_types/slug/${slug}/block_documents`,
    `/block_types/slug/${slug}/block_documents/name/leaks`,
  ];
  const queries = [
    '',
    '?include_secrets=false',
    '?include_secrets=true',
    '?include%5Fsecrets=1',
    '?include_secrets=false&include_secrets=yes',
    '?x&include_secrets=on',
    '?include_secrets',
  ];
  const bodies = [
    undefined,
    {},
    { include_secrets: true },
    { include_secrets: 'yes' },
    { include_secrets: 1, block_documents: { is_anonymous: { eq_: false } } },
  ];
  const all: Ask[] = [
    { method: 'POST', path: '/block_documents/', body: refers },
    ...paths.flatMap((path) => queries.map((query) => ({ method: 'GET', path: path + query }))),
    ...bodies.map((body) => ({ method: 'POST', path: '/block_documents/filter', body })),
    { method: 'GET', path: `/block_types/slug/${slug}/block_documents/name/refers` },
    {
      method: 'PATCH',
      path: `/block_documents/${block.id}`,
      body: { block_schema_id: ownSchema.id, data: {}, merge_existing_data: true },
    },
    { method: 'POST', path: '/events/filter', body: { filter: { event: { prefix: ['prefect.block'] } } } },
  ];
  const said: string[] = [];
  for (const name of ['maker', 'viewer'] as const) {
    for (const one of all) {
      const { status, text } = await ask(urls.get(name) ?? '', one);
      if (text.includes(word))
        said.push(`${name} ${one.method} ${one.path} ${JSON.stringify(one.body)}: ${status} ${text}`);
      if (status === 200 && text.includes('"plain"')) expect(text).toContain('"open":"seen"');
    }
  }
  expect(said).toEqual([]);
  // It is there, for who asks Prefect itself.
  const direct = await post<unknown[]>(sharedPrefect(), '/block_documents/filter', { include_secrets: true });
  expect(JSON.stringify(direct)).toContain(word);
}, 300_000);

// Last: what it asks deletes its own team's things, too.
test('no operation, by whatever ids, names and filters, answers a word of another team’s or changes a row of it', async () => {
  const before = await rowsOf(home(), other);
  expect(before.length).toBeGreaterThan(15);
  const leaks: string[] = [];
  const statuses = new Map<number, number>();
  for (const [part, name] of (['pool', 'tag', 'both'] as const).entries()) {
    const queue = [...asks(own, other, part % PARTS)];
    const work = async (): Promise<void> => {
      for (let one = queue.shift(); one !== undefined; one = queue.shift()) {
        const { status, text } = await ask(urls.get(name) ?? '', one);
        statuses.set(status, (statuses.get(status) ?? 0) + 1);
        const sent = `${one.path} ${JSON.stringify(one.body) ?? ''}`;
        const words = wordsIn(text, sent).filter(
          (word) => !SHARED.has(word) && !(name === 'tag' && OF_POOLS.has(word)),
        );
        const said = `${name} ${one.method} ${sent.slice(0, 300)}: ${status}`;
        if (words.length > 0) leaks.push(`${said} ${words.join()}`);
        // Prefect’s own faults are its own.
        if (status === 502 || status === 503) leaks.push(`${said} ${text}`);
      }
    };
    await Promise.all(Array.from({ length: 4 }, work));
  }
  const counted = [...statuses].map(([status, count]) => `${status}: ${count}`);
  process.stderr.write(`asked of another team's: ${counted.join(', ')}\n`);
  expect(leaks).toEqual([]);
  // By a background service of Prefect's too, of which an event is heard some time later.
  await sleep(2_000);
  // A run of a shared flow is the asker's own, and names the flow.
  const ofFlow = (row: string): boolean => row.startsWith('flow_run ') && row.includes('"key leak-b"');
  const after = (await rowsOf(home(), other)).filter((row) => !ofFlow(row));
  expect(after).toEqual(before.filter((row) => !ofFlow(row)));
  expect(statuses.get(200) ?? 0).toBeGreaterThan(100);
}, 300_000);
