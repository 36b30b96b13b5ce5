import { X509Certificate } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { join } from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { WebSocket as Client, type WebSocket } from 'ws';
import { signInto } from './harness/certificates.ts';
import { answersHalf } from './harness/echo.ts';
import { eventually } from './harness/eventually.ts';
import type { House, Serving } from './harness/house.ts';
import { cleanEnvironment, finish } from './harness/processes.ts';
import { echo, folder, house } from './harness/scenario.ts';

let home: House;
let gate: Serving;
let slow: Promise<ServerResponse>;
let tunnel: Promise<{ readonly socket: WebSocket; readonly request: IncomingMessage }>;
let upstream: Awaited<ReturnType<typeof echo>>;
beforeAll(async () => {
  const held = Promise.withResolvers<ServerResponse>();
  const opened = Promise.withResolvers<Awaited<typeof tunnel>>();
  [slow, tunnel] = [held.promise, opened.promise];
  home = await house();
  upstream = await echo({
    answer: answersHalf('one half, ', held.resolve),
    webSocket: (socket, request) => opened.resolve({ socket, request }),
  });
  gate = await home.serve({ upstream: upstream.url });
}, 60_000);

/**
 * A certificate that is due in 11 to 18 s, and has another half a minute after that: a busy machine has to have a sidecar, and
 * what is opened through it, before it is renewed.
 */
async function soonDue(identity: string): Promise<string> {
  const notBefore = Math.ceil(Date.now() / 1000) * 1000 - 50_000;
  const dir = join(await folder(), 'identity');
  const leaf = { identity, notBefore, notAfter: notBefore + 100_000, recorded: true, renewedFor: 300_000 };
  await signInto(home, dir, leaf);
  return dir;
}

/** The serial number of the certificate that the gate let a request in with (RFC 9440). */
const serialOf = ({ headers }: IncomingMessage): string =>
  new X509Certificate(Buffer.from(String(headers['client-cert']).replaceAll(':', ''), 'base64')).serialNumber;

test('a slow answer and a WebSocket that are open while their sidecar renews end on the old connection, in order, and what is asked then comes by the new certificate', async () => {
  const sidecar = await home.connect(gate, await soonDue('worker/open'));
  const answer = await fetch(`${sidecar.url}/api/slow`);
  const reader = answer.body?.pipeThrough(new TextDecoderStream()).getReader();
  let text = '';
  while (text.length < 'one half, '.length) text += (await reader?.read())?.value ?? ' gone';
  const client = new Client(`${sidecar.url.replace('http', 'ws')}/api/events/in`);
  const messages: string[] = [];
  client.on('message', (data: Buffer) => void messages.push(data.toString()));
  const closed = new Promise<number>((resolve) => client.once('close', resolve));
  await new Promise((resolve, reject) => client.once('open', resolve).once('error', reject));
  const [held, { socket, request }] = [await slow, await tunnel];
  const old = serialOf(request);
  expect(serialOf(held.req)).toBe(old);

  await sidecar.logged(({ msg }) => msg === 'new credentials taken');
  const before = upstream.heads.length;
  expect((await fetch(`${sidecar.url}/api/hello`)).status).toBe(200);
  const [next] = upstream.heads.slice(before);
  if (next === undefined) throw new Error('nothing came to the upstream');
  expect(serialOf(next)).not.toBe(old);

  // Both ways, and to their ends.
  const echoed = new Promise<string>((resolve) => socket.once('message', (data: Buffer) => resolve(data.toString())));
  client.send('from the client');
  expect(await echoed).toBe('from the client');
  socket.send('from upstream');
  await eventually('the client has it', () => (messages.includes('from upstream') ? true : undefined));
  client.close(1000);
  expect(await closed).toBe(1000);
  held.end('and the other');
  for (let part = await reader?.read(); part?.done === false; part = await reader?.read()) text += part.value;
  expect(text).toBe('one half, and the other');
  const gone = gate.log().filter(({ msg }) => msg === 'renewed');
  expect(gone).toHaveLength(1);
});

test('certgate run renews while its command runs, which goes on by the new certificate', async () => {
  const script = `
    const serial = async () => {
      const answer = await fetch(process.env.PREFECT_API_URL + '/hello');
      const [, der] = (await answer.json()).headers.find(([name]) => name === 'client-cert');
      return answer.status + ' ' + new (require('node:crypto').X509Certificate)(Buffer.from(der.replaceAll(':', ''), 'base64')).serialNumber;
    };
    (async () => {
      const first = await serial();
      let next = first;
      while (next === first) next = await serial();
      console.log(JSON.stringify([first, next]));
    })();`;
  const command = home.run(gate, await soonDue('worker/child'), [process.execPath, '-e', script]);
  const ran = await finish(...command, { env: cleanEnvironment() });
  expect([ran.code, ran.stderr]).toEqual([0, '']);
  const [first = '', next = ''] = JSON.parse(ran.stdout) as string[];
  expect([first.slice(0, 4), next.slice(0, 4)]).toEqual(['200 ', '200 ']);
  const renewed = gate.log().find(({ msg, identity }) => msg === 'renewed' && identity === 'worker/child');
  expect([renewed?.['replaces'], renewed?.['serial']]).toEqual([first, next].map((one) => one.slice(4).toLowerCase()));
});
