// A body that is held takes the room that was announced for it, in however many parts it comes.

import { expect, test } from 'vitest';
import type { Verdict } from '../../src/proxy/contract.ts';
import { heldRequest, holdPart } from '../../src/proxy/held-body.ts';
import { accepted, requestWith } from '../http1/read.ts';
import { forward } from './plain-proxy.ts';

const LENGTH = 20_000;
const head = accepted(requestWith(`Content-Length: ${LENGTH}\r\n`));
const verdict: Verdict = {
  ...forward(head, null),
  inspectBody: () => ({ kind: 'send', head: forward(head, null).head, body: Buffer.alloc(0) }),
};

test('octet by octet it is what was sent, and no octet is kept as an object of its own', () => {
  const held = heldRequest(head, verdict, 0);
  if (held === null) throw new Error('not held');
  const sent = Buffer.from(Array.from({ length: LENGTH }, (_, i) => i & 0xff));
  for (let i = 0; i < LENGTH; i++) expect(holdPart(held, sent.subarray(i, i + 1), 0)).toBe(1);
  expect(held.body.done).toBe(true);
  expect(held.bytes.equals(sent)).toBe(true);
  expect(Object.values(held).filter(Array.isArray)).toEqual([]);
});

test('what is behind it in the same read stays out of it', () => {
  const held = heldRequest(accepted(requestWith('Content-Length: 3\r\n')), verdict, 0);
  if (held === null) throw new Error('not held');
  expect(holdPart(held, Buffer.from('headabcGET /'), 4)).toBe(7);
  expect(held.bytes.toString()).toBe('abc');
});
