import { expect, test } from 'vitest';
import { requestSlot } from '../../../src/inbound/identity-counts.ts';
import { relayIdentities } from '../../../src/inbound/workers/identities.ts';

const relay = (mostRequests: number, mostConnections = 10) => {
  const asked: string[] = [];
  const left: string[] = [];
  const identities = relayIdentities({
    mostConnections,
    mostRequests,
    workers: 2,
    ask: async (identity) => asked.push(identity) <= mostConnections,
    left: (identity) => left.push(identity),
  });
  return { identities, asked, left };
};

test('each connection is asked for, and its end is told', async () => {
  const { identities, asked, left } = relay(10, 1);
  const tally = await identities.enter('a');
  expect(await identities.enter('a')).toBeNull();
  if (tally !== null) identities.leave(tally);
  expect([asked, left]).toEqual([['a', 'a'], ['a']]);
});

test('nobody is asked where there is no limit', async () => {
  const { identities, asked, left } = relay(10, Number.POSITIVE_INFINITY);
  const tally = await identities.enter('a');
  if (tally !== null) identities.leave(tally);
  expect([asked, left]).toEqual([[], []]);
});

test('requests in flight are told from an eighth of a worker’s share on, and once more when they are fewer', async () => {
  const { identities } = relay(32);
  const tally = await identities.enter('a');
  if (tally === null) throw new Error('refused');
  tally.requests = 1;
  expect(identities.report()).toBeNull();
  tally.requests = 2;
  expect([identities.report(), identities.report()]).toEqual([[['a', 2]], [['a', 2]]]);
  tally.requests = 0;
  expect([identities.report(), identities.report()]).toEqual([[], null]);
});

test('what others have in flight counts', async () => {
  const { identities } = relay(3);
  const tally = await identities.enter('a');
  if (tally === null) throw new Error('refused');
  identities.setElsewhere('a', 3);
  identities.setElsewhere('nobody', 3);
  expect(requestSlot(tally, 3).take(0)).toBe(false);
  identities.setElsewhere('a', 2);
  expect(requestSlot(tally, 3).take(0)).toBe(true);
});
