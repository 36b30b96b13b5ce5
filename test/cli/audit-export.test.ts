import { spawn } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { copyFileSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { createServer as createHttp, type Server as HttpServer } from 'node:http';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { createServer as createTls } from 'node:tls';
import { expect, inject, onTestFinished, test } from 'vitest';
import { openAuditLog } from '../../src/observe/audit-log.ts';
import { auditRecord } from '../observe/records.ts';
import { parseSyslog, takeCounted } from '../observe/syslog.ts';
import { openShell } from './golden.ts';

/** Starts `certgate audit export`; what it says gathers in `said`. */
function exporting(folder: string, to: string, flags: readonly string[], extra: NodeJS.ProcessEnv = {}) {
  const args = [inject('certgate'), 'audit', 'export', '--to', to, ...flags];
  const child = spawn(process.execPath, args, {
    cwd: folder,
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { ...process.env, ...extra },
  });
  const state = { child, said: '', ended: once(child, 'exit') };
  child.stderr.on('data', (part: Buffer) => (state.said += part.toString()));
  return state;
}

async function listening(server: Server | HttpServer, port = 0): Promise<number> {
  await once(server.listen(port, '127.0.0.1'), 'listening');
  onTestFinished(() => void server.close());
  return (server.address() as AddressInfo).port;
}

/** Takes counted messages from every connection, and gives their numbers. */
function receiver() {
  const seqs: number[] = [];
  const take = (socket: Socket): void => {
    let rest: Buffer = Buffer.alloc(0);
    socket.on('error', () => {});
    socket.on('data', (part: Buffer) => {
      const taken = takeCounted(Buffer.concat([rest, part]));
      rest = taken.rest;
      for (const message of taken.messages) {
        const { fields, text } = parseSyslog(message);
        const seq = fields.get('seq');
        if (seq === undefined) continue;
        expect(JSON.parse(text)).toMatchObject({ seq: Number(seq), prev: fields.get('prev') });
        seqs.push(Number(seq));
      }
    });
  };
  return { seqs, take };
}

function shellWithCa() {
  const shell = openShell();
  shell.run('certgate init');
  return { shell, path: join(shell.dir, 'state', 'audit.jsonl') };
}

async function write(path: string, count: number, name = 'r'): Promise<void> {
  const log = await openAuditLog(path);
  await Promise.all(Array.from({ length: count }, (_, i) => log.append(auditRecord({ requestId: `${name}-${i}` }))));
  await log.close();
}

const upTo = (count: number): number[] => Array.from({ length: count }, (_, i) => i + 1);

test('every record reaches a syslog receiver, whenever the export is killed, the receiver is down and the file is rotated', async () => {
  const { shell, path } = shellWithCa();
  const { seqs, take } = receiver();
  const server = createServer(take);
  const port = await listening(server);
  const to = `syslog+tcp://127.0.0.1:${port}`;
  const flags = ['--follow', '--cursor', 'cursor'];
  await write(path, 1500);
  for (const enough of [1, 1600, 3000]) {
    const one = exporting(shell.dir, to, flags);
    await expect.poll(() => seqs.length, { timeout: 30_000 }).toBeGreaterThanOrEqual(enough);
    one.child.kill('SIGKILL');
    await one.ended;
    renameSync(path, `${path}.${enough}`);
    await write(path, 1500);
  }
  server.close();
  const last = exporting(shell.dir, to, flags);
  await expect.poll(() => last.said, { timeout: 30_000 }).toContain('accepts nothing now');
  const again = createServer(take);
  await listening(again, port);
  await expect.poll(() => new Set(seqs).size, { timeout: 30_000 }).toBe(6000);
  await expect.poll(() => readFileSync(join(shell.dir, 'cursor'), 'utf8')).toContain('"seq":6000');
  last.child.kill('SIGINT');
  expect(await last.ended).toEqual([0, null]);
  expect([...new Set(seqs)].toSorted((a, b) => a - b)).toEqual(upTo(6000));
  expect(last.said.match(/accepts nothing now/g)).toHaveLength(1);
  expect(last.said).toContain('accepts records again');
});

test('every record reaches a stream socket in the file system, through breaks of it; a datagram socket is told as that', async () => {
  const { shell, path } = shellWithCa();
  const { seqs, take } = receiver();
  const socket = join(shell.dir, 'log.sock');
  let dropped = 0;
  const serving = async (): Promise<Server> => {
    // Ends each connection after a while: what was under way is sent again on the next.
    const server = createServer((one) => {
      take(one);
      one.on('data', () => {
        if (dropped < 3 && seqs.length > 500 * (dropped + 1)) {
          dropped++;
          one.destroy();
        }
      });
    });
    await once(server.listen(socket), 'listening');
    return server;
  };
  await write(path, 1000);
  const first = await serving();
  const one = exporting(shell.dir, `syslog+unix://${socket}`, ['--follow', '--cursor', 'cursor']);
  await expect.poll(() => new Set(seqs).size, { timeout: 30_000 }).toBe(1000);
  first.close();
  await write(path, 1000);
  await expect.poll(() => one.said, { timeout: 30_000 }).toContain('accepts nothing now');
  const second = await serving();
  await expect.poll(() => new Set(seqs).size, { timeout: 30_000 }).toBe(2000);
  one.child.kill('SIGINT');
  expect(await one.ended).toEqual([0, null]);
  second.close();
  expect(dropped).toBeGreaterThan(0);

  const bound = spawn(
    'python3',
    [
      '-c',
      "import socket, sys; s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); s.bind('dgram.sock'); print('bound', flush=True); sys.stdin.read()",
    ],
    { cwd: shell.dir },
  );
  await once(bound.stdout, 'data');
  const refused = exporting(shell.dir, `syslog+unix://${join(shell.dir, 'dgram.sock')}`, ['--follow']);
  expect(await refused.ended).not.toEqual([0, null]);
  expect(refused.said).toContain('it is a datagram socket, which Node.js cannot speak to');
  bound.stdin.end();
});

/** The JSON mapping of protobuf for an ExportLogsServiceRequest, so far as it is used; gives the records' attributes. */
function otlpRecords(body: string): Array<Map<string, string>> {
  const only = (value: object, names: readonly string[]): void => {
    expect(names).toEqual(expect.arrayContaining(Object.keys(value)));
  };
  type Attribute = { key: string; value: Record<string, unknown> };
  const attributes = (list: readonly Attribute[]): Map<string, string> =>
    new Map(
      list.map((attribute) => {
        only(attribute, ['key', 'value']);
        const [[kind, value] = ['', ''], ...more] = Object.entries(attribute.value);
        expect(more).toEqual([]);
        expect(kind === 'intValue' ? /^-?\d{1,19}$/.test(String(value)) : kind === 'stringValue').toBe(true);
        expect(typeof value).toBe('string');
        return [attribute.key, String(value)];
      }),
    );
  const request = JSON.parse(body) as {
    resourceLogs: Array<{
      resource: { attributes: Attribute[] };
      scopeLogs: Array<{ scope: object; logRecords: Array<Record<string, unknown> & { attributes: Attribute[] }> }>;
    }>;
  };
  only(request, ['resourceLogs']);
  return request.resourceLogs.flatMap(({ resource, scopeLogs, ...more }) => {
    expect(more).toEqual({});
    expect(attributes(resource.attributes).get('service.name')).toBe('certgate');
    return scopeLogs.flatMap(({ scope, logRecords }) => {
      only(scope, ['name']);
      return logRecords.map((record) => {
        const names = ['timeUnixNano', 'observedTimeUnixNano', 'severityNumber', 'severityText'];
        only(record, [...names, 'body', 'eventName', 'attributes']);
        expect(record['timeUnixNano']).toMatch(/^\d{19}$/);
        expect(record['observedTimeUnixNano']).toMatch(/^\d{19}$/);
        expect(record['severityNumber']).toBeOneOf([9, 10, 13, 17]);
        return attributes(record.attributes);
      });
    });
  });
}

test('an OpenTelemetry collector that is busy is asked again when it says, what it refuses in part is told, and a refusal ends it', async () => {
  const { shell, path } = shellWithCa();
  await write(path, 3);
  const asked: Array<{ at: number; body: string; key: string | undefined }> = [];
  const answers: Array<readonly [status: number, body: string]> = [
    [503, ''],
    [200, '{"partialSuccess":{"rejectedLogRecords":"1","errorMessage":"too old"}}'],
    [400, 'what is this'],
  ];
  const server = createHttp((request, response) => {
    let body = '';
    request.on('data', (part: Buffer) => (body += part.toString()));
    request.on('end', () => {
      asked.push({ at: performance.now(), body, key: request.headers['content-type'] });
      const [status, text] = answers[asked.length - 1] ?? [500, ''];
      response.writeHead(status, status === 503 ? { 'retry-after': '2' } : {}).end(text);
    });
  });
  const to = `otlp+http://127.0.0.1:${await listening(server)}/v1/logs`;
  const first = exporting(shell.dir, to, ['--cursor', 'cursor']);
  expect(await first.ended).toEqual([0, null]);
  expect(first.said).toContain('accepts nothing now (it answers 503): waiting for it');
  expect(first.said).toContain('does not accept all of them: 1 records rejected: too old');
  expect(first.said).toContain('4 records sent, up to number 3 and act 1');
  const [busy, taken] = asked;
  expect((taken?.at ?? 0) - (busy?.at ?? 0)).toBeGreaterThan(1900);
  expect(taken?.key).toBe('application/json');
  const records = otlpRecords(taken?.body ?? '');
  expect(records.map((one) => one.get('certgate.seq') ?? one.get('certgate.action'))).toEqual([
    '1',
    '2',
    '3',
    'ca.init',
  ]);
  expect(records[0]?.get('url.path')).toBe('/api/flow_runs/');

  await write(path, 1);
  const cursor = readFileSync(join(shell.dir, 'cursor'), 'utf8');
  const refused = exporting(shell.dir, to, ['--cursor', 'cursor', '--follow']);
  expect((await refused.ended)[0]).not.toBe(0);
  expect(refused.said).toContain('it answers 400: what is this [CG_AUDIT_EXPORT]');
  expect(readFileSync(join(shell.dir, 'cursor'), 'utf8')).toBe(cursor);
});

test('a record goes over TLS with a certificate that is checked, and as a datagram; what names no collector is told', async () => {
  const { shell, path } = shellWithCa();
  await write(path, 2);
  const made = 'openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -days 2';
  shell.run(
    `${made} -keyout logs.key -out logs.crt -subj /CN=localhost -addext subjectAltName=DNS:localhost,IP:127.0.0.1`,
  );
  const file = (name: string): Buffer => readFileSync(join(shell.dir, name));
  const { seqs, take } = receiver();
  const server = createTls({ cert: file('logs.crt'), key: file('logs.key') }, take);
  server.on('tlsClientError', () => {});
  const port = await listening(server);
  const over = exporting(shell.dir, `syslog+tls://localhost:${port}`, ['--ca', 'logs.crt']);
  expect([await over.ended, over.said]).toEqual([[0, null], expect.stringContaining('records sent, up to number 2')]);
  await expect.poll(() => seqs).toEqual([1, 2]);
  // An address has no server name, and its certificate is checked all the same.
  const byAddress = exporting(shell.dir, `syslog+tls://127.0.0.1:${port}`, ['--ca', 'logs.crt']);
  expect(await byAddress.ended, byAddress.said).toEqual([0, null]);
  await expect.poll(() => seqs).toEqual([1, 2, 1, 2]);
  const unverified = { NODE_TLS_REJECT_UNAUTHORIZED: '0' };
  const unknown = exporting(shell.dir, `syslog+tls://localhost:${port}`, ['--follow'], unverified);
  await expect.poll(() => unknown.said, { timeout: 30_000 }).toMatch(/accepts nothing now \(.*certificate/);
  unknown.child.kill('SIGTERM');
  await unknown.ended;

  const udp = createSocket('udp4');
  onTestFinished(() => void udp.close());
  const got: string[] = [];
  udp.on('message', (message) => got.push(parseSyslog(message).fields.get('seq') ?? 'act'));
  await once(udp.bind(0, '127.0.0.1'), 'listening');
  await exporting(shell.dir, `syslog+udp://127.0.0.1:${udp.address().port}`, []).ended;
  await expect.poll(() => got).toEqual(['1', '2', 'act']);

  writeFileSync(join(shell.dir, 'no-cursor'), '{}');
  const wrong: ReadonlyArray<readonly [flags: string, words: string]> = [
    ['--to unix:/dev/log', '--to syslog+udp://127.0.0.1:514'],
    ['--to http://x', 'which names no collector'],
    ['--to syslog+tcp://x --sd-id certgate', '--sd-id is'],
    ['--to syslog+tcp://x --cursor no-cursor', 'is not a cursor of an export'],
  ];
  for (const [flags, words] of wrong) {
    const { status, stderr } = shell.run(`certgate audit export ${flags}`);
    expect([status, stderr]).toEqual([2, expect.stringContaining(words)]);
  }
  // The value may be a key of the collector: it is not repeated.
  for (const pair of ['key=s3cret%zz', 'ke y=s3cret', 'key=s3cret%0A', 's3cret']) {
    const command = `OTEL_EXPORTER_OTLP_HEADERS='a=b,${pair}' certgate audit export --to otlp+http://127.0.0.1:1`;
    const { status, stderr } = shell.run(command);
    expect([status, stderr]).toEqual([2, expect.stringContaining('OTEL_EXPORTER_OTLP_HEADERS')]);
    expect(stderr).not.toContain('s3cret');
  }
});

test('what was put back from an older copy is told, since what has the numbers that were sent is not sent', async () => {
  const { shell, path } = shellWithCa();
  const server = createServer(receiver().take);
  const to = `syslog+tcp://127.0.0.1:${await listening(server)}`;
  const store = join(shell.dir, 'state', 'certgate.db');
  const send = async (): Promise<string> => {
    const one = exporting(shell.dir, to, ['--cursor', 'cursor']);
    expect(await one.ended, one.said).toEqual([0, null]);
    return one.said;
  };
  await write(path, 2);
  copyFileSync(path, `${path}.older`);
  copyFileSync(store, join(shell.dir, 'older.db'));
  await write(path, 3);
  shell.run('certgate issue worker/a; certgate issue worker/b');
  expect(await send()).toBe('8 records sent, up to number 5 and act 3\n');
  expect(await send()).toBe('0 records sent, up to number 5 and act 3\n');

  renameSync(`${path}.older`, path);
  renameSync(join(shell.dir, 'older.db'), store);
  const why = 'which was sent last, is not on record as it was sent: was an older copy put back?';
  const put = 'what has that number or a lower one now is not sent: delete cursor, and all is';
  const told = `act 3, ${why} ${put}\nrecord 5, ${why} ${put}\n`;
  expect(await send()).toBe(`${told}0 records sent, up to number 5 and act 3\n`);
  // Others have taken the numbers.
  await write(path, 4, 'other');
  shell.run('certgate issue worker/c; certgate issue worker/d; certgate issue worker/e');
  expect(await send()).toBe(`${told}2 records sent, up to number 6 and act 4\n`);
  expect(await send()).toBe('0 records sent, up to number 6 and act 4\n');
});
