// A worker of the gate: the data path for the sockets that the primary hands it. It listens nowhere, reads no configuration
// and no key, writes no file, and asks the primary for what must be right over all workers. It ends when it is told to, or
// with the primary: node:cluster ends a process whose channel has closed.

import { Socket } from 'node:net';
import { type PolicyWords, policyFrom } from '../../config/policy-words.ts';
import type { EnrollDesk } from '../../enroll/contract.ts';
import { limitLog } from '../../observe/limited-log.ts';
import type { Log } from '../../observe/log.ts';
import { createMetrics } from '../../observe/metrics.ts';
import type { BundleTaken } from '../../store/store.ts';
import { type DataPath, type DataPathOptions, openDataPath } from '../data-path.ts';
import { policyInTurns } from '../policy-apart.ts';
import { factsOfError } from './failures.ts';
import { relayIdentities } from './identities.ts';
import type { AuditAnswer, Channel, PrimaryQuestion, WorkerQuestion, WorkerStart } from './messages.ts';
import { answerTo, openQuestions } from './questions.ts';
import { relayAudit } from './relayed-audit.ts';
import { relayDesk } from './relayed-desk.ts';

/** How often requests in flight are told, ms. */
const IN_FLIGHT_REPORT = 100;
/** How often metrics are told, for when this process is killed, ms. */
const METRICS_REPORT = 1_000;

export interface WorkerParts {
  readonly log: Log;
  readonly auditPath: string;
  /** From the store on: what `start` has to be made into. */
  readonly options: Omit<DataPathOptions, 'audit' | 'log'>;
  readonly connectionsPerIdentity: number;
  /** Called when it serves; `open`: connections that it has. */
  readonly serving?: (open: () => number) => void;
}

/** Serves until it is told to drain, and resolves when it has. `prepare` makes of the start message what can't be sent. */
export async function runWorker(channel: Channel, prepare: (start: WorkerStart) => WorkerParts): Promise<void> {
  const questions = openQuestions<PrimaryQuestion>((id, question) => channel.send({ kind: 'ask', id, question }));
  const begun = Promise.withResolvers<WorkerStart>();
  const drained = Promise.withResolvers<void>();
  const hurry = new AbortController();
  let serving: Serving | null = null;
  let auditHealthy = true;
  /** What came after the start message, which may be before it serves. */
  const newest: {
    standing: Pick<WorkerStart, 'credentials' | 'trust'> | null;
    policy: PolicyWords | null;
  } = { standing: null, policy: null };
  const takePolicy = async (path: DataPath, words: PolicyWords): Promise<void> => {
    const { policy } = await policyInTurns(words);
    // Another may have come meanwhile.
    if (words === newest.policy) path.setPolicy(policy);
  };

  const answerHere = async (question: WorkerQuestion): Promise<unknown> => {
    if (question.about === 'policy') {
      newest.policy = question.policy;
      if (serving !== null) await takePolicy(serving.path, question.policy);
      return null;
    }
    if (serving === null) throw new Error('not ready');
    return serving.answer(question);
  };

  channel.listen((message, socket) => {
    switch (message.kind) {
      case 'start':
        begun.resolve(message.start);
        break;
      case 'answer':
        questions.answered(message.id, message.answer);
        break;
      case 'audit-health':
        auditHealthy = message.healthy;
        serving?.audit.setHealthy(auditHealthy);
        break;
      case 'drain':
        if (serving === null) drained.resolve();
        else serving.path.drain(message.ms, hurry.signal).then(drained.resolve, drained.reject);
        break;
      case 'hurry':
        hurry.abort();
        break;
      case 'connection':
        // Before anything is read from it: what is not said to be taken goes to another.
        channel.send({ kind: 'taken', connection: message.connection });
        serving?.letIn(message.connection, socket);
        break;
      case 'credentials':
        newest.standing = message;
        serving?.path.install(message.credentials, message.trust);
        break;
      case 'elsewhere':
        for (const [identity, requests] of message.inFlight) serving?.identities.setElsewhere(identity, requests);
        break;
      case 'ask': {
        const { id, question } = message;
        void answerTo(answerHere(question)).then((answer) => channel.send({ kind: 'answer', id, answer }));
        break;
      }
    }
  });
  channel.send({ kind: 'hello' });
  const start = await begun.promise;
  try {
    const commit = async (records: Extract<PrimaryQuestion, { about: 'audit' }>['records']): Promise<AuditAnswer> =>
      (await questions.ask({ about: 'audit', records })) as AuditAnswer;
    const askIdentity = async (identity: string): Promise<boolean> =>
      (await questions.ask({ about: 'identity', identity }).catch(() => false)) === true;
    const desk = relayDesk((question) => questions.ask(question), channel);
    serving = await openServing(channel, start, prepare(start), commit, askIdentity, desk);
  } catch (error) {
    channel.send({ kind: 'failed', ...factsOfError(error) });
    return;
  }
  serving.audit.setHealthy(auditHealthy);
  const { standing, policy } = newest;
  if (standing !== null) serving.path.install(standing.credentials, standing.trust);
  if (policy !== null) await takePolicy(serving.path, policy);
  channel.send({ kind: 'ready' });
  await drained.promise;
  await serving.stop();
}

interface Serving {
  readonly path: DataPath;
  readonly audit: ReturnType<typeof relayAudit>;
  readonly identities: ReturnType<typeof relayIdentities>;
  letIn(connection: number, socket: unknown): void;
  answer(question: Exclude<WorkerQuestion, { about: 'policy' }>): Promise<unknown>;
  stop(): Promise<void>;
}

async function openServing(
  channel: Channel,
  start: WorkerStart,
  { log, auditPath, options, connectionsPerIdentity, serving }: WorkerParts,
  commit: Parameters<typeof relayAudit>[1],
  askIdentity: (identity: string) => Promise<boolean>,
  desk: EnrollDesk,
): Promise<Serving> {
  const metrics = createMetrics();
  const limitedLog = limitLog(log);
  const audit = relayAudit(auditPath, commit, (outcomes) => channel.send({ kind: 'outcomes', outcomes }));
  const identities = relayIdentities({
    mostConnections: connectionsPerIdentity,
    mostRequests: options.limits.requestsPerIdentity,
    workers: start.workers,
    ask: askIdentity,
    left: (identity) => channel.send({ kind: 'left', identity }),
  });
  const { credentials, trust } = start;
  const noteBundle = (taken: BundleTaken): void => channel.send({ kind: 'bundle', taken });
  const policy = start.policy === null ? null : policyFrom(start.policy).policy;
  const place = { credentials, trust, policy, noteBundle, desk, identities, limitedLog, metrics };
  const path = await openDataPath({ ...options, log, audit, ...place });

  let closed: number[] = [];
  const tellClosed = (): void => {
    const connections = closed;
    closed = [];
    channel.send({ kind: 'closed', connections });
  };
  let open = 0;
  const ended = (connection: number): void => {
    open--;
    if (closed.push(connection) === 1) setImmediate(tellClosed);
  };
  const timers = [
    setInterval(() => {
      const inFlight = identities.report();
      if (inFlight !== null) channel.send({ kind: 'in-flight', inFlight });
    }, IN_FLIGHT_REPORT),
    setInterval(() => channel.send({ kind: 'metrics', metrics }), METRICS_REPORT),
  ];
  for (const timer of timers) timer.unref();
  serving?.(() => open);

  return {
    path,
    audit,
    identities,
    letIn(connection, socket) {
      open++;
      // It may have gone on the way here.
      if (!(socket instanceof Socket) || socket.destroyed) {
        ended(connection);
        return;
      }
      path.letIn(socket, () => ended(connection));
    },
    async answer(question) {
      if (question.about === 'life') return null;
      return question.about === 'health' ? path.health() : path.applyRecords(question.causes);
    },
    async stop() {
      for (const timer of timers) clearInterval(timer);
      await audit.close();
      channel.send({ kind: 'metrics', metrics });
      limitedLog.close();
    },
  };
}
