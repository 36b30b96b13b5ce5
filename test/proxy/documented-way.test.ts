// What the proxy promises holds also on a Node that lacks what the shortcuts of direct-io.ts need: the same tests, with the
// shortcuts taken away before anything is loaded.

import { expect, test, vi } from 'vitest';

vi.hoisted(() => {
  Reflect.set(process, 'binding', () => {
    throw new Error('there is no such thing');
  });
  const symbolsOf = Object.getOwnPropertySymbols;
  Object.getOwnPropertySymbols = (value: object) =>
    symbolsOf(value).filter(({ description }) => description !== 'kBuffer' && description !== 'kBufferCb');
});

await import('./exchange.test.ts');
await import('./shared-buffer.test.ts');
const { shortcuts } = await import('../../src/proxy/direct-io.ts');

test('the shortcuts are not taken here', () => {
  expect(shortcuts).toEqual({ read: false, write: false });
});
