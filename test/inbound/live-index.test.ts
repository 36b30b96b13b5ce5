// Who is connected: that each kind of cut finds whom it concerns, all of them and nobody else, and says what was under way.

import { Socket } from 'node:net';
import { describe, expect, test } from 'vitest';
import { addWork, createLiveIndex, type LiveConnection, NO_WORK } from '../../src/inbound/live-index.ts';
import type { ClientConnection } from '../../src/proxy/client-connection.ts';

/** A connection by what is told of it; `ended` has what became of those that were cut, in turn. */
function house() {
  const live = createLiveIndex();
  const ended: string[] = [];
  const names = new Map<LiveConnection, string>();
  const enter = (
    name: string,
    values: Partial<LiveConnection> = {},
    served?: { requests: number; tunnels: number },
  ) => {
    const socket = new Socket();
    socket.once('close', () => ended.push(`${name} destroyed`));
    const proxied = served && {
      work: { connections: 1, ...served },
      cut: (reason: string) => ended.push(`${name} cut: ${reason}`),
      reset: (reason: string) => ended.push(`${name} reset: ${reason}`),
    };
    const one: LiveConnection = {
      ...{
        socket,
        proxied: (proxied as unknown as ClientConnection | undefined) ?? null,
        identity: name,
        recorded: name,
      },
      ...{ issuer: 'aa', serial: '01', notAfter: 1_000, address: '192.0.2.7', since: 0, unreadSince: null },
      permitted: () => true,
      ...values,
    };
    names.set(one, name);
    live.enter(one);
    return one;
  };
  const certificates = () => live.certificates().map((one) => names.get(one));
  return { live, enter, ended, certificates };
}

const turn = async (): Promise<void> => await new Promise((resolve) => setImmediate(resolve));

describe('the connections of one certificate', () => {
  test('are cut together, those first that are being served, and none of another serial or issuer', async () => {
    const { live, enter, ended } = house();
    enter('idle', {}, { requests: 0, tunnels: 0 });
    enter('idle too', {}, { requests: 0, tunnels: 0 });
    enter('asks', {}, { requests: 1, tunnels: 0 });
    enter('hears', {}, { requests: 0, tunnels: 1 });
    enter('enters');
    enter('other serial', { serial: '02' });
    enter('other issuer', { issuer: 'bb' }, { requests: 1, tunnels: 0 });
    expect(live.cut('aa', '01', 'revoked')).toEqual({ connections: 5, requests: 1, tunnels: 1 });
    const first = ['asks reset: revoked', 'hears reset: revoked'];
    expect(ended).toEqual([...first, 'idle reset: revoked', 'idle too reset: revoked']);
    await turn();
    expect(ended.at(-1)).toBe('enters destroyed');
    expect(ended).toHaveLength(5);
    expect(live.cut('aa', '03', 'revoked')).toEqual(NO_WORK);
    expect(live.cut('a', 'a:01', 'revoked')).toEqual(NO_WORK);
  });

  test('are counted until each has left, once', () => {
    const { live, enter, certificates } = house();
    const [one, two, other] = [enter('one'), enter('two'), enter('other', { serial: '02' })];
    expect([live.size, certificates()]).toEqual([3, ['one', 'other']]);
    live.leave(one);
    expect(live.size).toBe(2);
    live.leave(one);
    expect([live.size, certificates()]).toEqual([2, ['two', 'other']]);
    live.leave(two);
    live.leave({ ...other });
    expect([live.size, certificates()]).toEqual([1, ['other']]);
    live.leave(two);
    live.leave(other);
    expect([live.size, certificates()]).toEqual([0, []]);
    expect(live.cut('aa', '01', 'revoked')).toEqual(NO_WORK);
  });
});

describe('a cut of all whom something concerns', () => {
  const everybody = () => {
    const here = house();
    here.enter('early', { notAfter: 500 });
    here.enter('also early', { notAfter: 500 }, { requests: 1, tunnels: 0 });
    here.enter('now', { serial: '02', notAfter: 1_000 }, { requests: 0, tunnels: 2 });
    here.enter('late', { serial: '03', notAfter: 1_001 }, { requests: 3, tunnels: 0 });
    here.enter('other', { issuer: 'bb', notAfter: 2_000 }, { requests: 4, tunnels: 0 });
    return here;
  };

  test('ends what has come to the end of its certificate, and not a moment before', async () => {
    const { live, ended } = everybody();
    expect(live.cutExpired(499)).toEqual(NO_WORK);
    expect(live.cutExpired(1_000)).toEqual({ connections: 3, requests: 1, tunnels: 2 });
    await turn();
    const why = 'the client certificate has expired';
    expect(ended).toEqual([`also early cut: ${why}`, `now cut: ${why}`, 'early destroyed']);
  });

  test('ends what came by an issuer that is trusted no more', () => {
    const { live, ended } = everybody();
    expect(live.cutOtherIssuers(new Set(['aa', 'bb']))).toEqual(NO_WORK);
    expect(live.cutOtherIssuers(new Set(['aa']))).toEqual({ connections: 1, requests: 4, tunnels: 0 });
    expect(ended).toEqual(['other cut: the issuer of the client certificate is trusted no more']);
    expect(live.cutOtherIssuers(new Set())).toMatchObject({ connections: 5 });
  });

  test('ends each WebSocket that the policy permits no more, beside others of the same certificate', () => {
    const { live, enter, ended } = house();
    enter('may', {}, { requests: 0, tunnels: 1 });
    enter('may not', { permitted: () => false }, { requests: 0, tunnels: 1 });
    enter('may too', {}, { requests: 0, tunnels: 1 });
    enter('nor this', { serial: '02', permitted: () => false }, { requests: 0, tunnels: 1 });
    expect(live.cutForbidden()).toEqual({ connections: 2, requests: 0, tunnels: 2 });
    const why = 'the policy permits it no more';
    expect(ended).toEqual([`may not cut: ${why}`, `nor this cut: ${why}`]);
  });

  test('ends who has TLS answer a mebibyte more and reads none of it, and nobody who reads', () => {
    const { live, enter, ended } = house();
    // As Node has a TLS socket: what came by TCP lies below it, and what waits to be sent is in its handle.
    const client = (name: string, serial = name) => {
      const handle = { writeQueueSize: 1 };
      const tcp = Object.assign(new Socket(), { _handle: handle });
      const come = (bytes: number) => Object.defineProperty(tcp, 'bytesRead', { configurable: true, value: bytes });
      const socket = Object.assign(new Socket(), { _parent: tcp, encrypted: true });
      enter(name, { socket, serial }, { requests: 0, tunnels: 0 });
      come(5_000);
      return { handle, come };
    };
    const [reads, little, floods] = [client('reads'), client('little'), client('floods', 'little')];
    expect(live.cutUnread()).toEqual(NO_WORK);
    floods.come(5_000 + 1_048_576);
    little.come(5_000 + 1_048_576);
    reads.come(2_000_000);
    reads.handle.writeQueueSize = 0;
    expect(live.cutUnread()).toEqual(NO_WORK);
    // Who has read meanwhile begins anew.
    reads.handle.writeQueueSize = 1;
    reads.come(4_000_000);
    floods.come(5_000 + 1_048_577);
    expect(live.cutUnread()).toEqual({ connections: 1, requests: 0, tunnels: 0 });
    expect(ended).toEqual(['floods cut: the client makes TLS answer and reads none of it']);
  });
});

test('work is summed up, each kind by itself', () => {
  const [a, b] = [
    { connections: 1, requests: 2, tunnels: 3 },
    { connections: 10, requests: 20, tunnels: 30 },
  ];
  expect([addWork(a, b), addWork(a, NO_WORK)]).toEqual([{ connections: 11, requests: 22, tunnels: 33 }, a]);
});
