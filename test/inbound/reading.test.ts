// What a connection keeps of its requests' heads: those of Prefect's clients, and not whatever a client can think of.

import { describe, expect, test } from 'vitest';
import { readRequestHead } from '../../src/http1/request.ts';
import type { RequestHead } from '../../src/http1/request-head.ts';
import { openRequestMemory } from '../../src/http1/request-memory.ts';
import type { Admitted } from '../../src/inbound/admission.ts';
import { openReadings } from '../../src/inbound/reading.ts';

const LIMITS = { headBytes: 32_768, headerLines: 100 };
const CLIENT: Admitted = {
  ok: true,
  identity: 'worker/etl-1',
  rule: '',
  attributes: { groups: [], values: [] },
  serial: 'ab12',
  issuer: '',
  recorded: null,
  notAfter: Number.POSITIVE_INFINITY,
  lines: '',
};

/** How many of sixteen heads, of about so many bytes each, are kept once all have been read. */
function kept(bytes: number): number {
  const readings = openReadings(CLIENT, '192.0.2.7', { authorization: null, apiPath: '/api' });
  const heads = Array.from({ length: 16 }, (_, n): RequestHead => {
    const text = `GET /api/flows/${n} HTTP/1.1\r\nhost: gate.test\r\nx-${n}: `;
    const head = readRequestHead(Buffer.from(`${text.padEnd(bytes - 4, 'v')}\r\n\r\n`), 0, LIMITS, openRequestMemory());
    if (head?.ok !== true) throw new Error('not a head');
    return head;
  });
  const first = heads.map((head) => readings.of(head));
  // From the last on: what is read anew may push others out.
  return heads.filter((head, n) => readings.of(head) === first[n]).length;
}

describe('sixteen heads', () => {
  test('of the length that clients of Prefect send are all kept', () => {
    expect(kept(500)).toBe(16);
    expect(kept(1_000)).toBe(16);
  });

  test('that are longer are not: a client has thousands of connections', () => {
    expect(kept(4_000)).toBeLessThanOrEqual(5);
  });

  test('and one that is repeated with bodies of other lengths pushes nothing out', () => {
    const readings = openReadings(CLIENT, '192.0.2.7', { authorization: null, apiPath: '/api' });
    const memory = openRequestMemory();
    const read = (line: string, length: number): RequestHead => {
      const text = `${line} HTTP/1.1\r\nhost: gate.test\r\ncontent-length: ${length}\r\n\r\n`;
      const head = readRequestHead(Buffer.from(text), 0, LIMITS, memory);
      if (head?.ok !== true) throw new Error('not a head');
      return head;
    };
    const other = read('POST /api/flow_runs/filter', 2);
    const first = readings.of(other);
    for (let length = 1; length < 1_000; length++)
      expect(readings.of(read('POST /api/flows/filter', length)).head.bodyLength).toBe(length);
    expect(readings.of(other)).toBe(first);
  });
});
