// canonicalPath against the uvicorn that is installed with Prefect, each of its HTTP and WebSocket parsers: for every
// target that is accepted, the path that policy decided on is the path in the ASGI scope, and the query arrives as sent.

import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { canonicalPath } from '../../src/policy/paths.ts';
import { type PythonScript, parserFolders, prefectPython, startScript } from './prefect-python.ts';
import { type RawClient, rawHttp, rawWebSocket } from './raw-http.ts';
import { mixedTarget, ODD_TARGETS, plainPath } from './targets.ts';

const missing = 'missing' in prefectPython ? prefectPython.missing : null;
if (missing !== null) process.stderr.write(`skipped: paths against uvicorn: ${missing}\n`);

interface Ports {
  readonly http: Readonly<Record<string, number>>;
  readonly websocket: Readonly<Record<string, number>>;
  readonly missing: Readonly<Record<string, string>>;
}

describe.skipIf(missing !== null)('what policy sees is what uvicorn routes', () => {
  let script: PythonScript;
  const parsers = new Map<string, RawClient>();

  beforeAll(async () => {
    script = startScript('path' in prefectPython ? prefectPython.path : '', 'uvicorn-echo.py', ...parserFolders);
    const ports = (await script.ask()) as Ports;
    for (const [name, port] of Object.entries(ports.http)) parsers.set(`http ${name}`, rawHttp(port));
    for (const [name, port] of Object.entries(ports.websocket)) parsers.set(`websocket ${name}`, rawWebSocket(port));
    for (const [name, why] of Object.entries(ports.missing)) {
      process.stderr.write(`skipped: uvicorn's parser ${name} is not installed (${why})\n`);
    }
  }, 120_000);

  afterAll(async () => {
    for (const client of parsers.values()) client.close();
    await script?.stop();
  });

  /** Sends what would be forwarded; true when it was accepted and every parser saw what policy saw. */
  async function agree(raw: string): Promise<boolean> {
    const result = canonicalPath(raw);
    if (!result.ok) return false;
    const query = result.target.includes('?') ? result.target.slice(result.target.indexOf('?') + 1) : '';
    for (const [name, client] of parsers) {
      const seen = await client.scopeOf(result.target);
      expect({ parser: name, raw, path: seen?.path, query: seen?.query }).toEqual({
        parser: name,
        raw,
        path: result.path,
        query,
      });
    }
    return true;
  }

  test('h11, the parser that Prefect runs with, is among those tried', () => {
    expect([...parsers.keys()]).toContain('http h11');
    expect([...parsers.keys()]).toContain('websocket websockets-sansio');
  });

  test('for every odd target that is accepted', async () => {
    let accepted = 0;
    for (const target of ODD_TARGETS) if (await agree(target)) accepted++;
    expect(accepted).toBeGreaterThan(400);
  }, 120_000);

  test('for any mixture of odd pieces that is accepted', async () => {
    let accepted = 0;
    const property = fc.asyncProperty(mixedTarget, async (target) => {
      if (await agree(target)) accepted++;
    });
    await fc.assert(property, { numRuns: 600 });
    expect(accepted).toBeGreaterThan(50);
  }, 120_000);

  test('for any path of Unicode text', async () => {
    const property = fc.asyncProperty(plainPath, async (path) => {
      expect(await agree(encodeURI(path).replaceAll('?', '%3F').replaceAll('#', '%23'))).toBe(true);
    });
    await fc.assert(property, { numRuns: 200 });
  }, 120_000);

  test('a client that sends the target itself, unforwarded, means the same path or is refused by uvicorn', async () => {
    for (const target of ODD_TARGETS) {
      const result = canonicalPath(target);
      if (!result.ok) continue;
      for (const [name, client] of parsers) {
        const seen = await client.scopeOf(target);
        if (seen !== null) expect({ name, target, path: seen.path }).toEqual({ name, target, path: result.path });
      }
    }
  }, 120_000);
});
