// A scope before a real Prefect that has one of everything of two teams: whatever an Owner of the one team asks, in whatever form,
// no word of the other's comes back and no row of the other's is another afterwards.

import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { beforeAll, expect, inject, test } from 'vitest';
import { WebSocket } from 'ws';
import { findOperation } from '../../src/policy/operation.ts';
import { ALL_PERMISSIONS, BUILT_IN_ROLES, type BuiltInRole } from '../../src/policy/permissions.ts';
import { fetchAvailable, post } from './harness/api.ts';
import { eventually } from './harness/eventually.ts';
import type { Serving } from './harness/house.ts';
import { ALWAYS, type Ask, asks, PARTS } from './harness/leaks.ts';
import { atEnd, house, sharedPrefect } from './harness/scenario.ts';
import { CANARY, makeTeam, rowsOf, type Team } from './harness/two-teams.ts';

const SCOPES = { pool: 'pools: [leak-a]', tag: 'tag: leak-a', both: 'pools: [leak-a], tag: leak-a' } as const;
const SCOPED = ['pool', 'tag', 'both'] as const;
type Name = keyof typeof SCOPES | 'viewer' | 'maker';
/** With a role for each of the scopes, in their order. */
const policyOf = (roles: readonly string[]): string => `roles:
  maker: {extends: [Viewer], permissions: [manage_blocks]}
${ALL_PERMISSIONS.map((one) => `  ${one}: {permissions: [${one}]}`).join('\n')}
bindings:
${SCOPED.map((name, i) => `  - {role: ${roles[i] ?? 'Viewer'}, identity: user/${name}, ${SCOPES[name]}}`).join('\n')}
  - {role: Viewer, identity: user/viewer}
  - {role: maker, identity: user/maker}
`;
const OWNERS = ['Owner', 'Owner', 'Owner'];
/** Flows are shared: who makes a deployment or a run of one reads what it is called, and its tags and labels. */
const SHARED = new Set(['flow', 'flow-tag', 'flow-label'].map((what) => `${CANARY}-${what}`));
/** Pools carry no tag, and are read by whoever is within one. */
const OF_POOLS = new Set(['pool', 'template', 'queue', 'worker'].map((what) => `${CANARY}-${what}`));

/** The home of the shared Prefect, with its database: test/e2e/prefect-setup.ts makes it. */
const home = (): string => join(inject('session'), `prefect-${process.env['VITEST_POOL_ID']}`);

let own: Team;
let other: Team;
let gate: Serving;
let policyFile: string;
const urls = new Map<Name, string>();
/** What each is answered when there is no other team yet. */
const alone = new Map<string, string>();

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
  policyFile = join(gates.dir, 'policy.yaml');
  await writeFile(policyFile, policyOf(OWNERS));
  gate = await gates.serve({ upstream: sharedPrefect(), flags: ['--policy', policyFile] });
  for (const name of [...SCOPED, 'viewer', 'maker'] as const)
    urls.set(name, (await gates.connect(gate, await gates.issue(`user/${name}`))).url);
  own = await makeTeam(made, 'leak-a', 'leak-a', (what) => `own-${what}`);
  for (const [key, text] of await counted()) alone.set(key, text);
  other = await makeTeam(made, 'leak-b', 'leak-b', (what) => `${CANARY}-${what}`);
}, 300_000);

/** Words and ids of the other team's in an answer that were not in what was asked. */
function wordsIn(text: string, sent: string): readonly string[] {
  const words = text.match(new RegExp(`${CANARY}-[a-z-]*[a-z]`, 'g')) ?? [];
  const ids = Object.entries(other.ids).filter(([of, id]) => of !== 'flow' && text.includes(id) && !sent.includes(id));
  return [...new Set(words)].filter((word) => !sent.includes(word)).concat(ids.map(([of]) => `${CANARY}-${of}`));
}

/** What is the other team's in the database. A run of a shared flow is the asker's own, and names the flow. */
async function othersRows(): Promise<readonly string[]> {
  const rows = await rowsOf(home(), other);
  return rows.filter((row) => !(row.startsWith('flow_run ') && row.includes('"key leak-b"')));
}

/** Asks all of `list`, four at a time; what came back of the other team's. */
async function leaksOf(name: keyof typeof SCOPES, list: readonly Ask[], counts: Map<number, number>) {
  const leaks: string[] = [];
  const queue = [...list];
  const work = async (): Promise<void> => {
    for (let one = queue.shift(); one !== undefined; one = queue.shift()) {
      const { status, text } = await ask(urls.get(name) ?? '', one);
      counts.set(status, (counts.get(status) ?? 0) + 1);
      const sent = `${one.path} ${JSON.stringify(one.body) ?? ''}`;
      const words = wordsIn(text, sent).filter((word) => !SHARED.has(word) && !(name === 'tag' && OF_POOLS.has(word)));
      if (words.length > 0) leaks.push(`${name} ${one.method} ${sent.slice(0, 300)}: ${status} ${words.join()}`);
    }
  };
  await Promise.all(Array.from({ length: 4 }, work));
  return leaks;
}

/** What all that counts and lists answers to who asks for everything, without times. */
async function counted(): Promise<ReadonlyArray<readonly [string, string]>> {
  const all = Array.from({ length: PARTS }, (_, part) => asks(own, own, part)).flat();
  const paths = new Set(all.flatMap(({ method, path }) => (method === 'POST' && COUNTS.test(path) ? [path] : [])));
  const run = { any_: [own.ids['run']] };
  const whose = { flow_runs: { id: run }, logs: { flow_run_id: run } };
  const said: Array<readonly [string, string]> = [];
  for (const name of SCOPED) {
    for (const path of paths) {
      // Within a tag pools are everybody's.
      if (name === 'tag' && path.startsWith('/work_pools')) continue;
      const to = async (body: object) => await ask(urls.get(name) ?? '', { method: 'POST', path, body });
      const open = await to(ALWAYS);
      const { status, text } = open.status === 403 ? await to({ ...ALWAYS, ...whose }) : open;
      said.push([`${name} ${path}`, `${status} ${text.replaceAll(TIMES, '')}`]);
    }
  }
  return said;
}

/** But of blocks, which are nobody's, and of events, which come when they come. */
const COUNTS = /^(?!\/block_|\/events).*(?:\/(?:filter|paginate|count|history|lateness|counts)$|\/count-)/;
const TIMES =
  /"(?:estimated_\w+|expected_start_time|last_\w+|updated|next_\w+)":[^,}]*|20\d\d-\d\d-\d\dT[\d:.]+(?:Z|\+00:00)/g;

// First: the others write what is listed.
test('what is counted, averaged and listed is the same with another team as without', async () => {
  const now = new Map(await counted());
  expect(now.size).toBeGreaterThan(60);
  expect(now).toEqual(alone);
});

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

const said = (statuses: ReadonlyMap<number, number>): string =>
  [...statuses].map(([status, count]) => `${status}: ${count}`).join(', ');

test('a Viewer, a Runner and a Worker within a scope, and who has one permission alone, get and change no more', async () => {
  const before = await othersRows();
  const roles: string[] = ['Viewer', 'Runner', 'Worker', ...ALL_PERMISSIONS];
  const statuses = new Map<number, number>();
  const leaks: string[] = [];
  for (let at = 0; at < roles.length; at += SCOPED.length) {
    const some = SCOPED.map((_, i) => roles[at + ((i + at / SCOPED.length) % SCOPED.length)] ?? 'Viewer');
    await become(some);
    for (const [i, name] of SCOPED.entries()) {
      const has = new Set<string>(BUILT_IN_ROLES[some[i] as BuiltInRole]?.permissions ?? [some[i] ?? '']);
      const may = ({ method, path }: Ask): boolean => {
        const operation = findOperation(method, `/api${decodeURI(path.split('?')[0] ?? '')}`);
        return operation !== null && operation.needs.length > 0 && operation.needs.every((one) => has.has(one));
      };
      // What deletes its own, or makes more and more runs of it, is asked by the Owners, and so are more of the filters.
      const list = asks(own, other, 3 + (at % 3)).filter((one) => may(one) && !AGAIN.test(one.path));
      const fewer = list.filter((_, nth) => has.size === 1 || nth % 2 === 0);
      leaks.push(...(await leaksOf(name, fewer, statuses)).map((one) => `${some[i]} ${one}`));
    }
  }
  await become(OWNERS);
  process.stderr.write(`asked of another team's by roles and single permissions: ${said(statuses)}\n`);
  expect(leaks).toEqual([]);
  expect(statuses.get(200) ?? 0).toBeGreaterThan(100);
  expect(await othersRows()).toEqual(before);
}, 300_000);

const AGAIN = /bulk_|\/schedule/;

/** Binds these roles, one for each scope. */
async function become(roles: readonly string[]): Promise<void> {
  turn++;
  // As many tests of the policy's own tell it from others in the log.
  const tests = '  - {identity: user/viewer, operation: read_flow, expect: allow}\n'.repeat(turn);
  await writeFile(policyFile, `${policyOf(roles)}tests:\n${tests}`);
  gate.running.signal('SIGHUP');
  await gate.logged((line) => line.msg === 'new policy taken' && line['tests'] === turn);
}
let turn = 0;

test('a message to the way in of events about another team’s is stored in no spelling and no form', async () => {
  const run = other.ids['run'] ?? '';
  const bare = run.replaceAll('-', '');
  const word = `${CANARY}-hostile`;
  const task = { 'prefect.resource.id': `prefect.task-run.${crypto.randomUUID()}`, 'prefect.orchestration': 'client' };
  const about = (id: string, role = 'flow-run') => ({
    'prefect.resource.id': `prefect.flow-run.${id}`,
    'prefect.resource.role': role,
  });
  const now = new Date().toISOString();
  const mine = about(own.ids['run'] ?? '');
  const event = (more: object): string =>
    JSON.stringify({
      ...{ id: crypto.randomUUID(), occurred: now, event: word, resource: mine, related: [], payload: {} },
      ...more,
    });
  const payload = {
    task_run: { task_key: word, dynamic_key: word, tags: [other.tag] },
    validated_state: { type: 'RUNNING' },
  };
  const makes = { event: 'prefect.task-run.Running', resource: task, payload };
  const odd = [`urn:uuid:${run}`, `{${run}}`, `uuid:${bare}`, `${bare.slice(0, 3)}-${bare.slice(3)}`, ` ${run}`];
  const texts = [run, run.toUpperCase(), bare, ...odd].flatMap((id) => [
    event({ resource: about(id) }),
    event({ related: [about(id)] }),
    event({ ...makes, related: [about(id)] }),
  ]);
  const theirs = event({ resource: about(run) });
  texts.push(
    event({ ...makes, related: [about(own.ids['run'] ?? '', 'parent')] }),
    event({ ...makes, resource: { ...task, 'prefect.resource.id': `prefect.task-run.${own.ids['task']}` } }),
    event({}).replace('"related"', `"resource":${JSON.stringify(about(run))},"related"`),
    event({}).replace('"related"', `"\\u0072esource":${JSON.stringify(about(run))},"related"`),
    theirs.replace('"payload":{}', '"payload":{"a":NaN}'),
    theirs.replace('"payload":{}', `"payload":${'{"a":'.repeat(250)}1${'}'.repeat(251)}`),
    `[${theirs}]`,
    `\ufeff${theirs}`,
    `{"type":"auth","token":null,${theirs.slice(1)}`,
  );
  const plain = (text: string) => (socket: WebSocket) => socket.send(text);
  const sends = [
    ...texts.map(plain),
    (socket: WebSocket) => socket.send(Buffer.from(theirs)),
    (socket: WebSocket) => {
      for (const part of theirs.match(/.{1,40}/g) ?? []) socket.send(part, { fin: false });
      socket.send('', { fin: true });
    },
  ];
  const closes: Array<readonly [number, number]> = [];
  const one = async (send: (socket: WebSocket) => void, at: number): Promise<void> => {
    const url = (urls.get(SCOPED[at % SCOPED.length] ?? 'both') ?? '').replace('http', 'ws');
    const socket = new WebSocket(`${url}/api/events/in`, 'prefect');
    const closed = new Promise<number>((resolve) => socket.once('close', resolve).on('error', () => {}));
    await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject));
    socket.send('{"type":"auth","token":null}');
    send(socket);
    closes.push([at, await closed]);
  };
  for (let at = 0; at < sends.length; at += 4)
    await Promise.all(sends.slice(at, at + 4).map(async (send, i) => await one(send, at + i)));
  expect(closes.filter(([, code]) => code !== 1008)).toEqual([]);
  // What came before this is stored before it.
  await made('POST', '/events', [JSON.parse(event({ event: 'own-last' }))]);
  const stored = async (name: string): Promise<number> => {
    const filter = {
      event: { name: [name] },
      occurred: { since: '2026-01-01T00:00:00Z', until: '2100-01-01T00:00:00Z' },
    };
    return (await made<{ total: number }>('POST', '/events/filter', { filter })).total;
  };
  await eventually('the last is stored', async () => ((await stored('own-last')) > 0 ? true : undefined));
  expect(await stored(word)).toBe(0);
  expect(await made('POST', '/task_runs/count', { task_runs: { tags: { all_: [other.tag] } } })).toBe(1);
}, 300_000);

// Last: what it asks deletes its own team's things, too.
test('no operation, by whatever ids, names and filters, answers a word of another team’s or changes a row of it', async () => {
  const before = await othersRows();
  expect(before.length).toBeGreaterThan(15);
  const leaks: string[] = [];
  const statuses = new Map<number, number>();
  for (const [part, name] of SCOPED.entries())
    leaks.push(...(await leaksOf(name, asks(own, other, part % PARTS), statuses)));
  process.stderr.write(`asked of another team's: ${said(statuses)}\n`);
  expect(leaks).toEqual([]);
  // By a background service of Prefect's too, of which an event is heard some time later.
  await sleep(2_000);
  expect(await othersRows()).toEqual(before);
  expect(statuses.get(200) ?? 0).toBeGreaterThan(100);
}, 300_000);
