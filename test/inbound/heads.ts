// A request head as the reader of src/http1 makes it, from header lines; and as the gate writes it for upstream.

import { readRequestHead } from '../../src/http1/request.ts';
import type { RequestHead } from '../../src/http1/request-head.ts';
import { keptLines, openHeadPlace, type Stamp, startOfHead, writeHeadInto } from '../../src/inbound/request-head.ts';

export function headOf(
  lines: readonly string[],
  requestLine = 'GET /api/flows/ HTTP/1.1',
  host = 'gate.test',
): RequestHead {
  const text = [requestLine, `Host: ${host}`, ...lines, '', ''].join('\r\n');
  const head = readRequestHead(Buffer.from(text, 'latin1'), 0, { headBytes: 32_768, headerLines: 100 });
  if (head?.ok !== true) throw new Error(`not a head: ${JSON.stringify(head)}`);
  return head;
}

/** The whole request head for upstream, its empty line included, by the way that the gate's own heads go. */
export function writeRequestHead(head: RequestHead, stamp: Stamp): string {
  const place = openHeadPlace(keptLines(head, stamp), stamp.requestId);
  return writeHeadInto(place, startOfHead(head, stamp.target), stamp.requestId).bytes.toString('latin1');
}
