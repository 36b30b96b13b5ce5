// What clients do that leave, break off, send nonsense or show the wrong certificate; and certificates that are issued,
// used and revoked. Whoever deserves an answer must get the right one.

import { rename, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { get, openTcp, openTls, Refused, type Wire } from '../../test/e2e/harness/wire.ts';
import type { Place } from './place.ts';
import type { Action } from './polite.ts';
import { LONGEST } from './upstream.ts';

/** The first bytes of a ClientHello, and never the rest. */
const HALF_HELLO = Buffer.from([0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3]);
const NONSENSE = [
  'GET / HTTP/1.1\nHost: a\n\n',
  'GET /a b HTTP/1.1\r\nHost: a\r\n\r\n',
  'GET / HTTP/1.1\r\nHost: a\r\nX y: z\r\n\r\n',
  'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
  'POST /api/logs/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n',
  `GET / HTTP/1.1\r\nHost: a\r\nX: ${'x'.repeat(40_000)}\r\n\r\n`,
  '\0\0\0\0\r\n\r\n',
];
const chance = (): boolean => Math.random() < 0.5;

function leave(wire: Wire): void {
  if (chance()) wire.reset();
  else wire.socket.destroy();
}

const leaveAtOnce: Action = async ({ gate, sidecar }) => {
  await new Promise<void>((resolve) => {
    const socket = connect(chance() ? gate.port : sidecar.port, '127.0.0.1');
    socket.on('error', () => {});
    socket.once('close', () => resolve());
    socket.once('connect', () => (chance() ? socket.resetAndDestroy() : socket.destroy()));
  });
};

const leaveInHandshake: Action = async ({ gate }) => {
  const wire = await openTcp(gate.port);
  wire.send(HALF_HELLO);
  await sleep(Math.random() * 200);
  leave(wire);
};

const leaveAfterHandshake: Action = async ({ gate, credentials }) => {
  const wire = await openTls(gate.port, credentials);
  if (chance()) wire.send('GET /api/he');
  leave(wire);
};

const leaveInBody: Action = async ({ gate, sidecar, credentials }) => {
  const wire = chance() ? await openTls(gate.port, credentials) : await openTcp(sidecar.port);
  wire.send('POST /api/soak/digest HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n');
  wire.send(Buffer.alloc(30_000));
  await sleep(Math.random() * 50);
  leave(wire);
};

const leaveInAnswer: Action = async ({ gate, sidecar, credentials }) => {
  const wire = chance() ? await openTls(gate.port, credentials) : await openTcp(sidecar.port);
  wire.send(get(`/api/soak/bytes?from=0&length=${LONGEST}&framing=chunked`));
  await wire.until('some of the answer', (bytes) => (bytes.length > 0 ? true : undefined));
  leave(wire);
};

const readSlowly: Action = async ({ gate, credentials }) => {
  const wire = await openTls(gate.port, credentials);
  wire.socket.pause();
  wire.send(get(`/api/soak/bytes?from=0&length=${LONGEST}&framing=length`));
  await sleep(2000);
  wire.socket.resume();
  const answer = await wire.answer();
  wire.socket.destroy();
  if (answer.body.length !== LONGEST) throw new Error(`a slow reader got ${answer.body.length} bytes`);
};

const nonsense: Action = async ({ gate, credentials }) => {
  const wire = await openTls(gate.port, credentials);
  wire.send(NONSENSE[Math.floor(Math.random() * NONSENSE.length)] ?? '');
  const { status } = await wire.answer();
  await wire.ended;
  wire.socket.destroy();
  if (status < 400 || status > 499) throw new Error(`a malformed request was answered ${status}`);
};

const wrongCertificate: Action = async ({ gate, credentials, stranger }) => {
  await expectRefusal(gate.port, chance() ? stranger : { ca: credentials.ca });
};

let issued = 0;

/** One identity's whole life: issued, used, revoked under its open connections, and never let in again. */
const revokeInUse: Action = async (place) => {
  const identity = `worker/soak-${++issued}`;
  const credentials = await place.issue(identity);
  const wires = await Promise.all([1, 2, 3].map(async () => await openTls(place.gate.port, credentials)));
  for (const wire of wires) {
    wire.send(get('/api/hello'));
    const { status } = await wire.answer();
    if (status !== 200) throw new Error(`a fresh certificate was answered ${status}`);
  }
  await place.revoke(identity);
  await Promise.all(wires.map(async (wire) => await wire.ended));
  await expectRefusal(place.gate.port, credentials);
};

async function expectRefusal(port: number, credentials: Parameters<typeof openTls>[1]): Promise<void> {
  try {
    const wire = await openTls(port, credentials);
    wire.send(get('/api/hello'));
    const { status } = await wire.answer();
    await wire.ended;
    wire.socket.destroy();
    if (status !== 403) throw new Error(`whom it should have refused it answered ${status}`);
  } catch (error) {
    // Refused in the handshake: as good.
    if (!(error instanceof Refused)) throw error;
  }
}

/** Each with how often it is drawn. */
export const RUDE: ReadonlyArray<readonly [name: string, weight: number, action: Action]> = [
  ['leave at once', 4, leaveAtOnce],
  ['leave in handshake', 3, leaveInHandshake],
  ['leave after handshake', 3, leaveAfterHandshake],
  ['leave in body', 3, leaveInBody],
  ['leave in answer', 3, leaveInAnswer],
  ['read slowly', 1, readSlowly],
  ['malformed request', 3, nonsense],
  ['wrong certificate', 2, wrongCertificate],
  ['revoke in use', 0.5, revokeInUse],
];

/** The sidecar's own certificate, renewed as cert-manager or a person would: new files under the same names. */
export async function renewSidecar(place: Place): Promise<void> {
  const { cert, key } = await place.issue('worker/soak');
  for (const [name, text] of [
    ['tls.key', key],
    ['tls.crt', cert],
  ] as const) {
    await writeFile(`${place.identityDir}/${name}.new`, text, { mode: 0o600 });
    await rename(`${place.identityDir}/${name}.new`, `${place.identityDir}/${name}`);
  }
}
