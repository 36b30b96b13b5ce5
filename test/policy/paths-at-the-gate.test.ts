// End to end: a client's request, the gate, a real uvicorn with each of its parsers. What the audit record names is the
// path that uvicorn handed to its application, for every target that gets through; what is refused never arrives.

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { canonicalPath } from '../../src/policy/paths.ts';
import type { RawPeer } from '../proxy/plain-proxy.ts';
import { type GateFixture, type GateHouse, openGateHouse } from '../security/gate-fixture.ts';
import { type PythonScript, parserFolders, prefectPython, startScript } from './prefect-python.ts';
import { ODD_TARGETS } from './targets.ts';

const missing = 'missing' in prefectPython ? prefectPython.missing : null;
if (missing !== null) process.stderr.write(`skipped: paths through a gate to uvicorn: ${missing}\n`);

// Some of those that get through, and of the others; the record keeps only the beginning of a very long path.
const targets = ODD_TARGETS.filter(
  (target, i) => i % (canonicalPath(target).ok ? 4 : 16) === 0 && target.length < 1_000,
);

describe.skipIf(missing !== null)('what the audit record names is what uvicorn routes', () => {
  let script: PythonScript;
  let house: GateHouse;
  let ports: Readonly<Record<string, number>>;

  beforeAll(async () => {
    script = startScript('path' in prefectPython ? prefectPython.path : '', 'uvicorn-echo.py', ...parserFolders);
    house = await openGateHouse();
    ports = ((await script.ask()) as { http: Record<string, number> }).http;
  }, 120_000);
  afterAll(async () => {
    await house.close();
    await script.stop();
  });

  test.each(['h11', 'httptools'])(
    'by its parser %s',
    async (parser) => {
      const port = ports[parser];
      if (port === undefined) {
        process.stderr.write(`skipped: uvicorn's parser ${parser} is not installed\n`);
        return;
      }
      const gate: GateFixture = await house.start(port);
      const before = gate.records().length;
      let client: RawPeer | null = null;
      const routed = new Map<string, string>();
      try {
        for (const target of targets) {
          client ??= await gate.connect();
          const asked = client.received().length;
          client.send(Buffer.from(`DELETE ${target} HTTP/1.1\r\nHost: echo.test\r\n\r\n`, 'latin1'));
          const text = (await client.until((all) => wholeAnswer(all.slice(asked)))).slice(asked);
          const status = text.slice(9, 12);
          const path = status === '200' ? (JSON.parse(bodyOf(text)) as { path: string }).path : null;
          const refused = status.startsWith('4');
          const { ok } = canonicalPath(target);
          expect({ target, refused, arrived: path !== null }).toEqual({ target, refused: !ok, arrived: ok });
          if (path !== null) routed.set(/^x-request-id: (.*)\r$/im.exec(text)?.[1] ?? '', path);
          if (/^connection: close\r$/im.test(text)) {
            client.socket.destroy();
            client = null;
          }
        }
      } finally {
        client?.socket.destroy();
        await gate.close();
      }
      const permitted = gate
        .records()
        .slice(before)
        .filter((record) => record['decision'] === 'permit');
      expect(routed.size).toBeGreaterThan(150);
      expect(new Map(permitted.map((record) => [String(record['requestId']), record['path']]))).toEqual(routed);
    },
    120_000,
  );
});

/** Both uvicorn's echo and the gate say the length. */
function wholeAnswer(text: string): boolean {
  const end = text.indexOf('\r\n\r\n');
  const length = Number(/^content-length: (\d+)\r$/im.exec(text)?.[1] ?? Number.NaN);
  return end >= 0 && text.length >= end + 4 + length;
}

function bodyOf(text: string): string {
  return Buffer.from(text.slice(text.indexOf('\r\n\r\n') + 4), 'latin1').toString();
}
