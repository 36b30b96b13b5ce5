// A further listener of a gate for those who have no certificate yet, or renew one: enrolment, renewal, EST, and what is
// published of the issuers, over TLS, as in the anteroom. It can stand on a public network where the
// gate's own port can't: it knows no upstream, and whatever else is asked of it is not there, whoever asks. The same desk
// answers as on the gate's own port. One in a gate, also in one of several workers, where the primary has it.

import type { TLSSocket } from 'node:tls';
import { STATUS_ROOTS } from '../authority/status-urls.ts';
import { bracketed } from '../config/address.ts';
import type { EnrollDesk } from '../enroll/contract.ts';
import { CertgateError, isCertgateError } from '../errors.ts';
import type { RequestHead } from '../http1/request-head.ts';
import { writeAnswer } from '../http1/write.ts';
import type { LimitedLog } from '../observe/limited-log.ts';
import { createMetrics, type Metrics, onlyCounters } from '../observe/metrics.ts';
import { bindTcp } from '../proxy/connection-set.ts';
import { dateLine } from '../proxy/own-answer.ts';
import type { AdmissionRules } from './admission.ts';
import { type AnteroomRequest, METHODS, receive } from './anteroom.ts';
import { balancersIn, clientAddresses } from './client-address.ts';
import { createClientReader } from './client-reader.ts';
import type { DataPathOptions } from './data-path.ts';
import { createDoor } from './door.ts';
import { DoorCounts, type DoorLimits } from './door-counts.ts';
import { holdersRequests, strangersRequests } from './enrolment.ts';
import { countIdentities } from './identity-counts.ts';
import { createListener, installContext, secureContext } from './listener.ts';
import { createLiveIndex } from './live-index.ts';
import { watchRevocations } from './revocation-watch.ts';
import type { Standing } from './standing-credentials.ts';
import { answerBare, type StatusAnswer } from './status/answer.ts';
import type { Publishing } from './status/answers.ts';

/** Where it listens, and what it publishes beside. */
export interface EnrolmentPlace {
  readonly host: string;
  /** 0 for a free one. */
  readonly port: number;
  readonly publishing: Publishing;
}

type EnrolmentLimits = Pick<DataPathOptions['limits'], 'handshake'> &
  DoorLimits & { readonly connectionsPerIdentity: number };

export interface EnrolmentListener {
  readonly port: number;
  /** From the next handshake on. */
  install(standing: Standing): void;
  /** Counters alone. */
  metrics(): Metrics;
  stop(): Promise<void>;
}

/** Connections at once: each has seconds for a request, and is there for little else. */
const MOST_CONNECTIONS = 1_024;
/** Of a question about certificates, bytes. */
const MOST_QUESTION = 8_192;
const NOTHING = 'certgate: enrolment, renewal, CRL and OCSP are here, and nothing else';
/** How long who asked for something else may take to read that, ms. */
const LINGER = 2_000;

/** Starts it. CG_STORE_*, CG_LISTEN. */
export async function startEnrolmentListener(
  place: EnrolmentPlace,
  options: Omit<DataPathOptions, 'limits'> & { readonly limits: EnrolmentLimits },
  { desk, limitedLog, standing }: { desk: EnrollDesk; limitedLog: LimitedLog; standing: Standing },
): Promise<EnrolmentListener> {
  const { log, store, limits, minTls, enrolment: policy } = options;
  const metrics = createMetrics();
  const live = createLiveIndex();
  const watch = await watchRevocations(store, live, log, () => {});
  const read = createClientReader(options.rules, options.trustDomain, standing.trust);
  const admission: AdmissionRules = {
    store,
    read: (certificate) => read.certificate(certificate),
    locks: () => watch.locks,
    unsafeUnrecorded: options.unsafeUnrecorded,
  };
  let { trust } = standing;
  let draining = false;
  const parts = { desk, policy, admission, log: limitedLog, trust: () => trust };
  const published = publishedBy(place.publishing);
  const serve = (socket: TLSSocket, address: string, requests: readonly AnteroomRequest[]): void => {
    receive(socket, [...requests, ...published], () => {
      metrics.refused++;
      const look = 'who asks there for more than certificates: clients of Prefect use serve.listen';
      limitedLog.say('warn', 'enrolment listener', { address, look }, 'nothing there for a request');
      tellNothing(socket);
    });
  };
  const connections = Math.min(limits.connections, MOST_CONNECTIONS);
  // Strangers stand here: one address that holds open all it can must leave room for the others.
  const connectionsPerAddress = Math.min(limits.connectionsPerAddress, Math.ceil(connections / 2));
  const { balancers } = options;
  const { server, greet } = createListener({
    ...standing,
    minTls,
    handshakeTimeout: limits.handshake,
    admission,
    identities: countIdentities(limits.connectionsPerIdentity),
    live,
    watch,
    audit: options.audit,
    log: limitedLog,
    metrics,
    addresses: clientAddresses({
      balancers,
      limits: { ...limits, connectionsPerAddress },
      timeout: limits.handshake,
      log: limitedLog,
      metrics,
    }),
    limitsAddresses: Number.isFinite(limits.handshakesPerAddress),
    isDraining: () => draining,
    async stranger(socket, address, why) {
      const requests = await strangersRequests(socket, address, why, parts);
      if (requests === null || socket.destroyed) return false;
      serve(socket, address, requests);
      return true;
    },
    serve(socket, { serial }, { address }) {
      void desk.seen(serial);
      serve(socket, address, holdersRequests({ serial, address }, parts));
    },
  });
  const counts = new DoorCounts({ ...limits, connections, connectionsPerAddress }, balancersIn(balancers));
  const sockets = new Set<{ destroy(): unknown }>();
  const door = createDoor({
    counts,
    log: limitedLog,
    metrics,
    letIn(socket, address) {
      sockets.add(socket);
      socket.once('close', () => {
        sockets.delete(socket);
        counts.leave(address);
      });
      greet(socket);
    },
  });
  let port: number;
  try {
    ({ port } = await bindTcp(door, place));
  } catch (error) {
    await watch.stop();
    if (!isCertgateError(error, 'CG_LISTEN')) throw error;
    throw new CertgateError('CG_LISTEN', { ...error.facts, flag: '--enroll-listen' }, { cause: error });
  }
  const host = bracketed(place.host);
  log.info({ address: `${host}:${port}` }, 'listening for enrolment');
  return {
    port,
    metrics: () => onlyCounters(metrics),
    install(fresh) {
      read.trust(fresh.trust);
      installContext(server, secureContext(fresh.credentials, fresh.trust, minTls));
      ({ trust } = fresh);
    },
    async stop() {
      draining = true;
      door.close();
      for (const socket of sockets) socket.destroy();
      await watch.stop();
    },
  };
}

/** What is published of the issuers, whatever the method: what may not be asked is said as on the status listener. */
function publishedBy(publishing: Publishing): readonly AnteroomRequest[] {
  const answer = (head: RequestHead, body: Buffer): Promise<StatusAnswer> =>
    publishing.answer(head, body, true).catch((error: unknown) => {
      publishing.failed(error);
      return answerBare(500, true, Date.now());
    });
  return METHODS.flatMap((method) =>
    STATUS_ROOTS.map((root) => ({
      begins: `${method} ${root}`,
      visit: (head) => ({ most: MOST_QUESTION, answer: (body) => answer(head, body) }),
    })),
  );
}

function tellNothing(socket: TLSSocket): void {
  socket.on('data', () => {});
  socket.end(writeAnswer(404, NOTHING, true, true, dateLine()), 'latin1');
  setTimeout(() => socket.destroy(), LINGER).unref();
}
