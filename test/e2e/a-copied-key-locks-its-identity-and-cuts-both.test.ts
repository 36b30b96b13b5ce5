// The owner of a certificate renews it and works on; a thief, who has a copy of the one before, works beside it and then
// renews that. Nobody can tell which of the two is the thief.

import { X509Certificate } from 'node:crypto';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { generateKey, privateKeyToPem } from '../../src/pki/keys.ts';
import { createRequest } from '../../src/pki/requests.ts';
import { signerOf } from '../../src/pki/signing.ts';
import { openSqliteStore } from '../../src/store/sqlite.ts';
import { come, openAll, slowUpstream } from './harness/all-open.ts';
import { eventually } from './harness/eventually.ts';
import { credentialsIn, type House, type Serving } from './harness/house.ts';
import { house } from './harness/scenario.ts';
import { type Answer, ask, type Credentials, openTls } from './harness/wire.ts';

const NAME = 'worker/robbed';

/** Renews by `credentials`; null where the answer was cut off. */
async function renew(gate: Serving, credentials: Credentials) {
  const { privateKey } = await generateKey();
  const body = JSON.stringify({ csr: await createRequest(signerOf(privateKey), { commonName: null }) });
  const head = `POST /.well-known/certgate/renew HTTP/1.1\r\nHost: localhost\r\nContent-Length: ${body.length}\r\n\r\n`;
  const wire = await openTls(gate.port, credentials);
  const answer: Answer | null = await ask(wire, head + body).catch(() => null);
  wire.socket.destroy();
  return { answer, key: privateKeyToPem(privateKey) };
}

const serialOf = ({ cert = '' }: Credentials): string => new X509Certificate(cert).serialNumber.toLowerCase();

/** Owner and thief at work by two certificates of one identity, the thief's superseded and the owner's known to be in use. */
async function scene(settings: { flags?: readonly string[]; env?: NodeJS.ProcessEnv }) {
  const home = await house();
  const [stolen, alice] = await Promise.all([
    home.issue(NAME).then(credentialsIn),
    home.issue('user/alice').then(credentialsIn),
  ]);
  const upstream = (await slowUpstream()).url;
  const gate = await home.serve({ upstream, ...settings });
  const { answer, key } = await renew(gate, stolen);
  const { certificate, bundle } = JSON.parse(answer?.body.toString() ?? '') as { certificate: string; bundle: string };
  const fresh = { cert: certificate, key, ca: bundle };
  const [owner, thief] = [await openAll(gate, fresh), await openAll(gate, stolen)];
  const store = openSqliteStore(join(home.dir, 'state/certgate.db'), { readOnly: true });
  await eventually('the next certificate is known to be in use', async () => {
    const [succession] = await store.successors(serialOf(stolen));
    return typeof succession?.seenAt === 'number' ? true : undefined;
  });
  await store.close();
  return { ...{ home, upstream, gate, stolen, fresh, owner, thief }, bystander: await openAll(gate, alice) };
}

interface Entry {
  readonly action: string;
  readonly detail: Readonly<Record<string, unknown>>;
}
const json = async <T>(home: House, ...words: string[]): Promise<T> =>
  JSON.parse((await home.certgate([...words, '--json', '--config', home.config])).stdout) as T;
/** What stands on the identity, of each of its certificates. */
const marks = async (home: House) => {
  const { certificates } = await json<{ certificates: { locked: object | null; flag: object | null }[] }>(
    home,
    'list',
    NAME,
  );
  return certificates.map(({ locked, flag }) => ({ locked, flag }));
};
const acts = async (home: House): Promise<readonly Entry[]> => {
  const { stdout } = await home.certgate(['audit', '--identity', NAME, '--json', '--config', home.config]);
  return stdout
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Entry);
};

test.each([1, 2])(
  'both are cut in what they do, neither comes in again, and record, lock and flag say why: by %i worker(s), and after a restart',
  async (workers) => {
    const { home, upstream, gate, stolen, fresh, owner, thief, bystander } = await scene({
      flags: ['--workers', String(workers)],
    });
    const { answer } = await renew(gate, stolen);
    if (answer !== null)
      expect([answer.status, answer.body.toString()]).toEqual([403, expect.stringContaining('locked')]);
    await Promise.all([owner.cut(), thief.cut()]);
    await bystander.goOn();
    const why = expect.stringMatching(
      new RegExp(`${serialOf(stolen)} was renewed again from 127.0.0.1 .* ${serialOf(fresh)} was in use`),
    ) as string;
    await gate.logged(
      ({ msg, reason }) => msg === 'locked: connections cut' && String(reason).includes(serialOf(stolen)),
    );
    const detail = `certgate: ${NAME} is locked, not revoked, until it is unlocked`;
    const keptOut = { status: 403, body: JSON.stringify({ detail }) };
    for (const who of [stolen, fresh]) expect(await come(gate, who)).toEqual(keptOut);
    expect(await acts(home)).toEqual(
      expect.arrayContaining([
        expect.objectContaining({ action: 'certificate.reuse', detail: { problem: why, locked: true } }),
        expect.objectContaining({ action: 'client.lock', detail: expect.objectContaining({ reason: why }) as object }),
      ]),
    );
    const mark = {
      locked: expect.objectContaining({ reason: why, actor: 'gate' }) as object,
      flag: { since: expect.any(String) as string, reason: why },
    };
    expect(await marks(home)).toEqual([mark, mark]);

    await gate.stop();
    const next = await home.serve({ upstream, port: gate.port });
    for (const who of [stolen, fresh]) expect(await come(next, who)).toEqual(keptOut);
    expect(await marks(home)).toEqual([mark, mark]);
  },
);

test('with renew.lockOnReuse off nobody is cut or locked; record and flag say why', async () => {
  const { home, gate, stolen, fresh, owner, thief } = await scene({ env: { CERTGATE_RENEW_LOCK_ON_REUSE: 'false' } });
  expect((await renew(gate, stolen)).answer?.status).toBe(200);
  await Promise.all([owner.goOn(), thief.goOn()]);
  for (const who of [stolen, fresh]) expect((await come(gate, who)).status).toBe(200);
  const record = await acts(home);
  const problem = expect.stringContaining(serialOf(fresh)) as string;
  expect(record.filter(({ action }) => action === 'certificate.reuse')).toMatchObject([
    { detail: { problem, locked: false } },
  ]);
  expect(record.map(({ action }) => action)).not.toContain('client.lock');
  for (const { locked, flag } of await marks(home)) expect([locked, flag]).toEqual([null, expect.any(Object)]);
  await home.certgate(['unflag', NAME, '--config', home.config]);
  for (const { flag } of await marks(home)) expect(flag).toBeNull();
});
