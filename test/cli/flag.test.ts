// An identity that showed a sign of a thief: where an operator sees it, and how it is taken off. That the gate flags it, and
// for what, test/enroll has.
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { storeFile } from '../../src/authority/layout.ts';
import { openSqliteStore } from '../../src/store/sqlite.ts';
import { newAudit } from '../store/fixture.ts';
import { checkedCa } from './checked-ca.ts';

const ca = checkedCa();
const REASON = 'somebody with another key tried to use it\u001b[2J';
const SINCE = Date.now() - 7_200_000;
const flagIt = async (identity: string): Promise<void> => {
  const store = openSqliteStore(storeFile(ca.path('state')));
  await store.flag({ identity, reason: REASON, flaggedAt: SINCE }, null, newAudit({ action: 'token.misuse' }));
  await store.close();
};
const listed = async (...argv: string[]) =>
  JSON.parse((await ca.ran(['list', '--json', ...argv])).out) as {
    certificates: { identity: string; flag: { since: string; reason: string } | null }[];
  };
const FLAG = { since: new Date(SINCE).toISOString(), reason: REASON };
const LOOK =
  /worker\/a was flagged 2h\S* ago: somebody with another key tried to use it\\u\{1b\}\[2J\n {2}look at certgate audit --identity worker\/a; then certgate unflag worker\/a/;

test('is marked in the list, with why and what to do, and fails ca check and doctor until it is taken off, which is on record', async () => {
  for (const name of ['worker/a', 'worker/b']) await ca.ran(['issue', name, '--out', name]);
  await flagIt('worker/a');
  const list = await ca.ran(['list']);
  expect(list.out).toMatch(/worker\/a +valid, flagged /);
  expect(list.out).toMatch(/worker\/b +valid {2}/);
  expect(list.said).toMatch(LOOK);
  expect((await listed()).certificates.map(({ identity, flag }) => [identity, flag])).toEqual([
    ['worker/b', null],
    ['worker/a', FLAG],
  ]);
  expect((await ca.ran(['list', 'worker/b'])).said).toBe('');
  const [finding = ''] = (await ca.found()).filter((one) => one.includes('flag'));
  expect(finding).toMatch(
    /^fail flag: worker\/a was flagged 2h.* ago: .*certgate audit --identity worker\/a before you/,
  );
  const doctor = await ca.ran(['doctor']);
  expect(doctor).toMatchObject({ code: 1, out: expect.stringContaining('first flag: worker/a was flagged') as string });

  // The remedy, as it is told.
  const taken = await ca.ran((finding.split(' → certgate ')[1] ?? '').split(' '));
  expect(taken).toMatchObject({
    code: 0,
    out: `worker/a  no longer flagged, for ${REASON.replace('\u001b', '\\u{1b}')}`,
    said: '',
  });
  expect((await ca.ran(['list'])).said).toBe('');
  expect((await ca.found()).filter((one) => one.includes('flag'))).toEqual([]);
  const again = await ca.ran(['unflag', 'worker/a']);
  expect(again).toMatchObject({ code: 0, out: '', said: 'worker/a is not flagged: nothing was changed' });
  const store = openSqliteStore(storeFile(ca.path('state')), { readOnly: true });
  const acts = (await store.listAudit({ limit: 1000 })).filter(({ action }) => action === 'client.unflag');
  await store.close();
  expect(acts).toMatchObject([
    { object: 'worker/a', actor: expect.stringMatching(/^cli:/) as string, detail: FLAG_DETAIL },
  ]);
});
const FLAG_DETAIL = { reason: REASON, flaggedAt: SINCE };

test('that is locked too is told so by unflag, and that it is flagged by unlock', async () => {
  await ca.ran(['issue', 'worker/a']);
  await ca.ran(['lock', 'identity', 'worker/a', '--reason', 'odd']);
  await flagIt('worker/a');
  expect((await ca.ran(['list'])).out).toMatch(/worker\/a +valid, locked, flagged /);
  expect((await ca.ran(['unflag', 'worker/a'])).said).toBe('it is locked, for odd: certgate unlock identity worker/a');
  await flagIt('worker/a');
  expect((await ca.ran(['unlock', 'identity', 'worker/a'])).said).toMatch(LOOK);
  const unlocked = JSON.parse((await ca.ran(['unlock', 'identity', 'worker/a', '--json'])).out) as object;
  expect(unlocked).toMatchObject({ unlocked: false, flag: FLAG });
  expect(JSON.parse((await ca.ran(['unflag', 'worker/a', '--json'])).out)).toEqual({
    identity: 'worker/a',
    flag: FLAG,
    locked: false,
  });
  expect(JSON.parse((await ca.ran(['unflag', 'worker/a', '--json'])).out)).toMatchObject({ flag: null });
});

test('is flagged in what is restored from a backup', async () => {
  await ca.ran(['issue', 'worker/a']);
  await flagIt('worker/a');
  await ca.ran(['crl', 'export', '--out', 'list.crl']);
  await ca.ran(['backup', '--out', 'kept']);
  expect(await ca.ran(['restore', 'kept', '--dir', 'again', '--crl', 'list.crl'])).toMatchObject({ code: 0 });
  const config = join('again', 'certgate.yaml');
  expect((await listed('--config', config)).certificates).toMatchObject([{ identity: 'worker/a', flag: FLAG }]);
});

test('more than twenty are counted', async () => {
  for (let n = 0; n < 22; n++) await flagIt(`worker/w${n}`);
  const found = (await ca.found()).filter((one) => one.startsWith('fail flag'));
  expect([found.length, found.at(-1)]).toEqual([21, 'fail flag: 2 more are flagged → certgate ca check --json']);
});
