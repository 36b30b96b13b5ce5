import { expect, test } from 'vitest';
import { connectionsFor, mostConnections, openFilesIn } from '../../src/proxy/descriptors.ts';

test.each([
  ['Max open files            1024                 524288               files     \n', 1024],
  ['Max open files            unlimited            unlimited            files     \n', 1_000_000],
  ['nothing of the kind\n', 10_240],
])('the descriptors of a process are read from what the system says of it', (text, descriptors) => {
  expect(openFilesIn(`Limit  Soft Limit  Hard Limit  Units\n${text}Max locked memory  1  1  bytes\n`)).toBe(
    descriptors,
  );
});

test('clients may take half of the descriptors, less what the gate needs itself', () => {
  expect([connectionsFor(1024), connectionsFor(65_536), connectionsFor(64)]).toEqual([448, 32_704, 16]);
  expect(mostConnections()).toBeGreaterThanOrEqual(16);
});
