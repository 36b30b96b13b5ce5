import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { addressKey, DoorCounts, type DoorLimits } from '../../src/inbound/door-counts.ts';

const NONE: DoorLimits = {
  connections: Number.POSITIVE_INFINITY,
  connectionsPerAddress: Number.POSITIVE_INFINITY,
  handshakesPerAddress: Number.POSITIVE_INFINITY,
};
const counts = (limits: Partial<DoorLimits>) => new DoorCounts({ ...NONE, ...limits });

describe('the door', () => {
  test('lets in as many connections as all clients may have, and one more for each that ends', () => {
    const door = counts({ connections: 2 });
    expect([door.enter('192.0.2.1', 0), door.enter('192.0.2.2', 0)]).toEqual([null, null]);
    expect(door.enter('192.0.2.3', 0)).toBe('CG_LIMIT_CONNECTIONS');
    door.leave('192.0.2.1');
    expect(door.enter('192.0.2.3', 0)).toBeNull();
  });

  test('counts each address by itself', () => {
    const door = counts({ connectionsPerAddress: 1 });
    expect(door.enter('192.0.2.1', 0)).toBeNull();
    expect(door.enter('192.0.2.1', 0)).toBe('CG_LIMIT_ADDRESS');
    expect(door.enter('192.0.2.2', 0)).toBeNull();
  });

  test('lets ten seconds’ worth of handshakes in at once, and then as many a second as the limit says', () => {
    const door = counts({ handshakesPerAddress: 3 });
    const inAt = (now: number): number => {
      let let_in = 0;
      while (door.enter('192.0.2.1', now) === null) let_in++;
      return let_in;
    };
    expect(inAt(0)).toBe(30);
    expect(inAt(999)).toBe(2);
    expect(inAt(2000)).toBe(4);
    expect(inAt(3_600_000)).toBe(30);
  });

  test('remembers an empty bucket after the last connection has ended', () => {
    const door = counts({ handshakesPerAddress: 1 });
    for (let i = 0; i < 10; i++) {
      expect(door.enter('192.0.2.1', 0)).toBeNull();
      door.leave('192.0.2.1');
    }
    expect(door.enter('192.0.2.1', 0)).toBe('CG_LIMIT_HANDSHAKES');
  });

  test('does not pay for a connection that another limit refuses', () => {
    const door = counts({ handshakesPerAddress: 1, connectionsPerAddress: 1 });
    expect(door.enter('192.0.2.1', 0)).toBeNull();
    for (let i = 0; i < 100; i++) expect(door.enter('192.0.2.1', 0)).toBe('CG_LIMIT_ADDRESS');
    door.leave('192.0.2.1');
    expect(door.enter('192.0.2.1', 0)).toBeNull();
  });

  test('holds a bounded number of addresses, however many come', () => {
    const door = counts({ handshakesPerAddress: 1 });
    for (let i = 0; i < 100_000; i++) {
      const address = `2001:db8:${(i >> 16).toString(16)}:${(i & 0xffff).toString(16)}::1`;
      expect(door.enter(address, i)).toBeNull();
      door.leave(address);
    }
    expect(door.remembered).toBeLessThanOrEqual(16_384);
  });

  test('holds nothing of addresses when they have no limit', () => {
    const door = counts({ connections: 10 });
    door.enter('192.0.2.1', 0);
    expect([door.open, door.remembered]).toEqual([1, 0]);
  });

  test('agrees with a plain count, is never negative and never over a limit, whatever comes and goes', () => {
    const addresses = ['192.0.2.1', '::ffff:192.0.2.1', '192.0.2.2', '2001:db8::1', '2001:db8::2', '2001:db8:0:1::1'];
    const step = fc.oneof(
      fc.record({ address: fc.constantFrom(...addresses), wait: fc.nat(500) }),
      fc.record({ end: fc.nat(50) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), fc.integer({ min: 1, max: 4 }), (steps, most) => {
        const door = counts({ connections: 8, connectionsPerAddress: most, handshakesPerAddress: 2 });
        const open: string[] = [];
        let now = 0;
        for (const each of steps) {
          if ('end' in each) {
            const [gone] = open.splice(each.end % Math.max(1, open.length), 1);
            if (gone !== undefined) door.leave(gone);
          } else {
            now += each.wait;
            const same = open.filter((one) => addressKey(one) === addressKey(each.address)).length;
            const refusal = door.enter(each.address, now);
            if (open.length >= 8) expect(refusal).toBe('CG_LIMIT_CONNECTIONS');
            else if (same >= most) expect(refusal).toBe('CG_LIMIT_ADDRESS');
            else expect([null, 'CG_LIMIT_HANDSHAKES']).toContain(refusal);
            if (refusal === null) open.push(each.address);
          }
          expect(door.open).toBe(open.length);
        }
        for (const one of open) door.leave(one);
        expect(door.open).toBe(0);
        // Nobody is held against whoever comes when all have gone and the buckets are full again.
        expect(door.enter('192.0.2.1', now + 60_000)).toBeNull();
      }),
    );
  });
});

describe('an address is counted under', () => {
  test.each([
    ['192.0.2.1', '192.0.2.1'],
    ['::ffff:192.0.2.1', '192.0.2.1'],
    ['::FFFF:192.0.2.1', '192.0.2.1'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2'],
    ['2001:DB8:1:2::6', '2001:db8:1:2'],
    ['2001:db8::1', '2001:db8:0:0'],
    ['2001:0db8:0000:0000::1', '2001:db8:0:0'],
    ['2001:db8:1::', '2001:db8:1:0'],
    ['::1', '0:0:0:0'],
    ['fe80::1%eth0', 'fe80:0:0:0'],
    ['64:ff9b::192.0.2.1', '64:ff9b:0:0'],
  ])('%s: %s', (address, key) => {
    expect(addressKey(address)).toBe(key);
  });

  test('the same key for all addresses of a /64, in every spelling', () => {
    const group = fc.integer({ min: 0, max: 0xffff });
    fc.assert(
      fc.property(
        fc.array(group, { minLength: 4, maxLength: 4 }),
        fc.array(group, { minLength: 4, maxLength: 4 }),
        (net, host) => {
          const text = [...net, ...host].map((one) => one.toString(16)).join(':');
          // The URL parser writes an address in its shortest form.
          const short = new URL(`http://[${text}]/`).hostname.slice(1, -1);
          if (short.startsWith('::ffff:')) return;
          expect(addressKey(short)).toBe(net.map((one) => one.toString(16)).join(':'));
          expect(addressKey(text)).toBe(addressKey(short));
        },
      ),
    );
  });
});
