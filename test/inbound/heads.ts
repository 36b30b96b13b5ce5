// A request head as the reader of src/http1 makes it, from header lines.

import { type RequestHead, readRequestHead } from '../../src/http1/request.ts';

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
