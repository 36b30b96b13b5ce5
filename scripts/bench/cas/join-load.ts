// The machines of the work `join`, a process of its own so that it can be pinned: all at once each makes a key, enrols by its
// token as `certgate enroll` does, and sends one request through the gate with its new certificate. The upstream must have
// seen its name.
// usage: only as a child of special/join.ts:  node join-load.ts

import { connect, createSecureContext } from 'node:tls';
import { askOnce } from '../../../src/enroll/ask-gate.ts';
import { tokenCredential } from '../../../src/enroll/credential.ts';
import { enroll } from '../../../src/enroll/enroll-client.ts';
import { readToken } from '../../../src/enroll/token.ts';
import { generateKey, privateKeyToPem } from '../../../src/pki/keys.ts';
import { reasonOf } from '../processes.ts';
import { ECHO_QUERY, type EchoedRequest } from '../works.ts';

export interface JoinOrder {
  readonly port: number;
  /** As `certgate token create` prints them. */
  readonly tokens: readonly string[];
}

export interface JoinReply {
  /** Of those that got in: from the beginning of all to the certificate, and to the answered request, ms. */
  readonly certificateMs: readonly number[];
  readonly answerMs: readonly number[];
  /** Why the others did not. */
  readonly failures: readonly string[];
  readonly seconds: number;
  /** Of a core, 0-1. */
  readonly share: number;
}

async function join(text: string, port: number): Promise<number> {
  const token = readToken(text);
  const { privateKey } = await generateKey('P-256');
  const issued = await enroll({
    ...{ credential: tokenCredential(token), privateKey, identity: null, gate: null, serverName: null },
    patienceMs: 0,
  });
  const at = performance.now();
  const secureContext = createSecureContext({
    ...{ ca: issued.bundle, cert: issued.certificate, key: privateKeyToPem(privateKey), minVersion: 'TLSv1.3' },
  });
  const socket = connect({ host: '127.0.0.1', port, servername: 'localhost', secureContext });
  const path = `/api/admin/version${ECHO_QUERY}`;
  const { status, text: body } = await askOnce(socket, { method: 'GET', host: `localhost:${port}`, path });
  if (status !== 200) throw new Error(`the first request was answered with ${status}: ${body.slice(0, 200)}`);
  const { headers } = JSON.parse(body) as EchoedRequest;
  const names = headers.filter(([name]) => name.toLowerCase() === 'x-certgate-identity').map(([, value]) => value);
  if (names.length !== 1 || names[0] !== token.subject) throw new Error(`${token.subject} passed as ${String(names)}`);
  return at;
}

async function carryOut({ port, tokens }: JoinOrder): Promise<JoinReply> {
  const [before, began] = [process.cpuUsage(), performance.now()];
  const certificateMs: number[] = [];
  const answerMs: number[] = [];
  const failures: string[] = [];
  await Promise.all(
    tokens.map(async (token) => {
      try {
        const at = await join(token, port);
        certificateMs.push(at - began);
        answerMs.push(performance.now() - began);
      } catch (error) {
        failures.push(reasonOf(error));
      }
    }),
  );
  const seconds = (performance.now() - began) / 1000;
  const { user, system } = process.cpuUsage(before);
  return { certificateMs, answerMs, failures, seconds, share: (user + system) / 1e6 / seconds };
}

process.on('message', (order) => {
  void carryOut(order as JoinOrder).then((reply) => process.send?.(reply));
});
process.on('disconnect', () => process.exit(0));
process.send?.('ready');
