import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { credentialsIn, logOf } from './harness/house.ts';
import { echo, house } from './harness/scenario.ts';
import { ask, openTls } from './harness/wire.ts';

test('with several workers under load, one of them killed, the record is one whole file that has every answered write, in the order of each connection, and no line of the log is mixed with another', async () => {
  const home = await house();
  const credentials = await credentialsIn(await home.issue('worker/etl-1'));
  const upstream = await echo();
  const gate = await home.serve({ upstream: upstream.url, flags: ['--workers', '2'] });
  const pids = gate.log().flatMap((line) => (line.msg === 'worker started' ? [Number(line['pid'])] : []));
  // A long path makes long lines: most fill a write of the log by themselves.
  const path = `/api/flow_runs/${'x'.repeat(1500)}`;
  const post = `PATCH ${path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}`;
  const answered: string[][] = [];
  let writes = 0;
  const client = async (): Promise<void> => {
    const ids: string[] = [];
    answered.push(ids);
    try {
      const wire = await openTls(gate.port, credentials);
      for (let i = 0; i < 60; i++) {
        const { status, headers } = await ask(wire, post);
        if (status !== 200) throw new Error(`answered ${status}`);
        ids.push(headers['x-request-id'] ?? '');
        if (++writes === 300) process.kill(pids[0] ?? 0, 'SIGKILL');
      }
      wire.socket.destroy();
    } catch (error) {
      // Of a client of the killed worker; the others get all of their answers.
      if (!/ended|closed|ECONNRESET/.test(String(error))) throw error;
    }
  };
  await Promise.all(Array.from({ length: 16 }, client));
  await gate.logged(({ msg }) => msg === 'worker lost, starting another');
  const whole = answered.filter(({ length }) => length === 60).length;
  expect([whole >= 8, whole < 16]).toEqual([true, true]);
  expect((await gate.stop()).code).toBe(0);

  const all = (await readFile(join(home.dir, 'state/audit.jsonl'), 'utf8')).trimEnd().split('\n');
  const lines = all.filter((line) => line.includes('"decision"'));
  const outcomes = new Set(all.flatMap((line) => /"requestId":"([^"]+)","outcome":200/.exec(line)?.[1] ?? []));
  const places = new Map(lines.map((line, place) => [(JSON.parse(line) as { requestId: string }).requestId, place]));
  expect(places.size).toBe(lines.length);
  for (const ids of answered) {
    const found = ids.map((id) => places.get(id) ?? -1);
    expect(found).not.toContain(-1);
    expect(found).toEqual(found.toSorted((a, b) => a - b));
  }
  // What the killed worker answered may have no outcome; the others' has.
  const survivors = answered.filter(({ length }) => length === 60).flat();
  expect(survivors.filter((id) => !outcomes.has(id))).toEqual([]);
  const verified = await home.certgate(['audit', '--verify', '--config', home.config]);
  expect(verified.stdout).toMatch(
    /^the gate's record: \d+ in the chain, in 1 file, .*\nsigned up to number \d+ at \S+ by issuer 1, active, certificate [0-9a-f]+\n/,
  );
  const said = await home.certgate(['audit', '--json', '--limit', '5000', '--config', home.config]);
  const told = said.stdout.split('\n').filter((line) => line.includes('"source":"gate"'));
  expect([said.stderr, told.length]).toEqual(['', lines.length]);
  const log = gate.running.stderr();
  const mixed = log.split('\n').filter((line) => line !== '' && logOf(line).length !== 1);
  expect(mixed).toEqual([]);
  expect(logOf(log).filter(({ msg }) => msg === 'request').length).toBeGreaterThan(400);
});
