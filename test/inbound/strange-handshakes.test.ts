// Which handshakes keep their address out, and for how long.

import { expect, test } from 'vitest';
import { StrangeHandshakes } from '../../src/inbound/strange-handshakes.ts';

const LONG = { bytesRead: 64_000, bytesWritten: 2_000 };
/** Five of them at once, of which the fifth is too much, and which are down to what may be after 3,616 ms. */
function five(strange: StrangeHandshakes, address: string, at = 0): boolean[] {
  return Array.from({ length: 5 }, () => strange.count(address, LONG, at));
}

test.each<[string, Parameters<StrangeHandshakes['count']>[1]]>([
  ['of the usual length', { bytesRead: 8_192, bytesWritten: 2_000 }],
  ['that brought much before a chain could be asked for', { bytesRead: 64_000, bytesWritten: 512 }],
])('handshakes %s keep nobody out', (_which, shaken) => {
  const strange = new StrangeHandshakes();
  for (let i = 0; i < 100; i++) expect(strange.count('192.0.2.1', shaken, 0)).toBe(false);
  expect(strange.keepsOut('192.0.2.1', 0)).toBe(false);
});

test('many long ones keep out their address until they are few for the time, and no other address', () => {
  const strange = new StrangeHandshakes();
  expect(five(strange, '192.0.2.1', 1_000)).toEqual([false, false, false, false, true]);
  expect(strange.keepsOut('192.0.2.1', 4_615)).toBe(true);
  expect(strange.keepsOut('::ffff:192.0.2.1', 4_615)).toBe(true);
  expect(strange.keepsOut('192.0.2.2', 1_000)).toBe(false);
  expect(strange.keepsOut('192.0.2.1', 4_616)).toBe(false);
  expect(strange.count('192.0.2.1', LONG, 4_616)).toBe(true);
  expect(strange.keepsOut('192.0.2.1', 1e6)).toBe(false);
  expect(five(strange, '192.0.2.1', 1e6)).toEqual([false, false, false, false, true]);
});

test('one now and then keeps nobody out', () => {
  const strange = new StrangeHandshakes();
  for (let i = 0; i < 1_000; i++) expect(strange.count('192.0.2.1', LONG, i * 4_000)).toBe(false);
});

test('an IPv6 address stands for its /64', () => {
  const strange = new StrangeHandshakes();
  five(strange, '2001:db8::1');
  expect(strange.keepsOut('2001:db8::ffff:2', 1)).toBe(true);
  expect(strange.keepsOut('2001:db8:0:1::1', 1)).toBe(false);
});

test('addresses without number are remembered up to a number', () => {
  const strange = new StrangeHandshakes();
  for (let i = 0; i < 16_385; i++) five(strange, `10.0.${i >> 8}.${i & 255}`);
  expect(strange.keepsOut('10.0.0.0', 1)).toBe(false);
  expect(strange.keepsOut('10.0.0.1', 1)).toBe(true);
  expect(strange.keepsOut('10.0.64.0', 1)).toBe(true);
});
