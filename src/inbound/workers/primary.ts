// The gate with several workers, as its primary process sees it: it alone listens, issues the server certificate, writes the
// record and answers the control socket, and it counts what must be right over all workers. Workers have the data path and
// watch the records themselves. A certificate's key goes to them over the channel, and stands in no file.
//
// Limits: connections, and handshakes a second, are counted where connections are accepted, here. Connections of an identity
// are asked for, one message and its answer a handshake, so they are exact. Requests in flight are told every tenth of a
// second by a worker that has more than an eighth of its share: in between, each worker goes by what it last heard, so that
// for 100 ms the sum may reach the limit times the number of workers, and after that nine eighths of it.

import type { PolicyWords } from '../../config/policy-words.ts';
import type { Config } from '../../config/schema.ts';
import { openDesk } from '../../enroll/desk.ts';
import { CertgateError, reasonOf } from '../../errors.ts';
import { limitLog } from '../../observe/limited-log.ts';
import { addMetrics, createMetrics, type Metrics, onlyCounters } from '../../observe/metrics.ts';
import { bindTcp, type TcpAddress } from '../../proxy/connection-set.ts';
import { noteBundlesIn } from '../bundle-notes.ts';
import { balancersIn } from '../client-address.ts';
import { createDoor, turnAway } from '../door.ts';
import { DoorCounts } from '../door-counts.ts';
import type { EnrolmentListener } from '../enrolment-listener.ts';
import { enrolmentListenerOf, type GateHealth, type GateOptions, type RunningGate } from '../gate.ts';
import { addWork, NO_WORK } from '../live-index.ts';
import { watchPolicy } from '../policy-watch.ts';
import { openStandingCredentials } from '../standing-credentials.ts';
import { assembleCrew, type Crew, type Member } from './crew.ts';
import { rebuilt } from './failures.ts';
import { GateCounts } from './gate-counts.ts';
import type { AppliedHere, PrimaryQuestion, ToPrimary, WorkerHealth } from './messages.ts';
import { answerTo } from './questions.ts';
import { commitRelayed } from './relayed-audit.ts';

/** How long a worker may take to say how it is, ms. */
const HEALTH_TIME = 3_000;
/** How long workers may take to end after the drain time, ms. */
const END_TIME = 5_000;
/** How often the workers are told whether the record can be written, ms. */
const AUDIT_LOOK = 250;

export interface WorkersOptions extends GateOptions {
  readonly config: Config;
  readonly workers: number;
  /** What a worker process runs. */
  readonly program: { readonly exec: string; readonly args: readonly string[] };
  /** Connections that one process has descriptors for. */
  readonly connectionsPerWorker: number;
}

/** Starts the workers, then listens. CG_WORKER and whatever keeps a worker from starting; CG_STORE_*, CG_LISTEN. */
export async function startWorkers(options: WorkersOptions): Promise<RunningGate> {
  const { log, audit, authority, config, workers: size } = options;
  const metrics = createMetrics();
  const limitedLog = limitLog(log);
  const counts = new DoorCounts(options.limits, balancersIn(options.balancers));
  const identities = new GateCounts(options.limits.connectionsPerIdentity);
  /** What workers that are gone had counted. */
  let retired: Metrics = createMetrics();
  const standing = await openStandingCredentials(options);
  let policy = options.policy?.loaded.words ?? null;
  const noteBundle = noteBundlesIn(options.store, limitedLog);
  const desk = openDesk({ authority, store: options.store, policy: options.enrolment, log: limitedLog, metrics });

  const tellElsewhere = (news: ReadonlySet<string>, except: Member | null): void => {
    if (news.size === 0) return;
    for (const member of crew.ready()) {
      if (member !== except) member.send({ kind: 'elsewhere', inFlight: identities.elsewhere(member.id, news) });
    }
  };
  const answer = async (member: Member, question: PrimaryQuestion): Promise<unknown> => {
    if (question.about === 'audit') return commitRelayed(audit, question.records);
    if (question.about === 'enroll') return desk.enroll(question.body, question.from);
    if (question.about === 'renew') return desk.renew(question.body, question.holder);
    return identities.enter(member.id, question.identity);
  };
  let booting: { readonly failed: (error: CertgateError) => void; readonly ready: () => void } | null = null;

  const heard = (member: Member, message: ToPrimary): void => {
    switch (message.kind) {
      case 'hello':
        member.send({
          kind: 'start',
          start: {
            config,
            authString: options.authString,
            ...standing.current,
            policy,
            workers: size,
          },
        });
        member.send({ kind: 'audit-health', healthy: audit.healthy() });
        break;
      case 'ready':
        member.ready = true;
        log.info({ worker: member.id, pid: member.pid }, 'worker started');
        booting?.ready();
        break;
      case 'failed': {
        const error = rebuilt(message);
        if (booting !== null) booting.failed(error);
        else log.error({ worker: member.id, code: error.code, reason: error.message }, 'worker cannot start');
        break;
      }
      case 'taken':
        crew.taken(member, message.connection);
        break;
      case 'closed':
        for (const connection of message.connections) {
          const address = member.open.get(connection);
          if (member.open.delete(connection) && address !== undefined) counts.leave(address);
        }
        break;
      case 'left':
        identities.leave(member.id, message.identity);
        break;
      case 'in-flight':
        tellElsewhere(identities.report(member.id, message.inFlight), member);
        break;
      case 'metrics':
        member.metrics = message.metrics;
        break;
      case 'bundle':
        noteBundle(message.taken);
        break;
      case 'outcomes':
        for (const outcome of message.outcomes) audit.outcome(outcome);
        break;
      case 'seen':
        void desk.seen(message.serial);
        break;
      case 'ask': {
        const { id } = message;
        // Counting needs no promise, and must be done in the order in which messages come.
        void answerTo(answer(member, message.question)).then((said) =>
          member.send({ kind: 'answer', id, answer: said }),
        );
        break;
      }
      case 'answer':
        break;
    }
  };
  let ending = false;
  const lost = (member: Member, how: string): void => {
    for (const address of member.open.values()) counts.leave(address);
    if (member.metrics !== null) retired = addMetrics(retired, onlyCounters(member.metrics));
    const news = identities.reported(member.id);
    identities.forget(member.id);
    tellElsewhere(news, null);
    if (ending) return;
    metrics.workersLost++;
    booting?.failed(new CertgateError('CG_WORKER', { reason: how }));
  };

  const crew: Crew = assembleCrew({ size, program: options.program, log, heard, lost });
  const endAll = async (): Promise<void> => {
    ending = true;
    crew.dismiss();
    const all = [...crew.members];
    for (const member of all) member.kill();
    await Promise.all(all.map(({ gone }) => gone));
  };
  const door = createDoor({
    counts,
    log: limitedLog,
    metrics,
    pauseOnConnect: true,
    letIn(socket, address) {
      const member = crew.next();
      if (member !== null && member.open.size < options.connectionsPerWorker) {
        crew.hand(member, socket, address);
        return;
      }
      counts.leave(address);
      turnAway(socket, address, 'CG_LIMIT_CONNECTIONS', { log: limitedLog, metrics });
    },
  });
  let enrolling: EnrolmentListener | null = null;
  let at: TcpAddress;
  try {
    await new Promise<void>((resolve, reject) => {
      const ready = (): void => {
        if (crew.ready().length === size) resolve();
      };
      booting = { failed: reject, ready };
    });
    booting = null;
    enrolling = await enrolmentListenerOf(options, { desk, limitedLog, standing: standing.current });
    at = await bindTcp(door, options.listen);
  } catch (error) {
    booting = null;
    await enrolling?.stop();
    await endAll();
    limitedLog.close();
    throw error;
  }
  const stopStanding = standing.keep((fresh) => {
    const { credentials, trust } = fresh;
    enrolling?.install(fresh);
    for (const member of crew.members) member.send({ kind: 'credentials', credentials, trust });
  });
  const policyWatch =
    options.policy === null
      ? null
      : watchPolicy(options.policy, { log, metrics }, ({ words }) => {
          policy = words;
          return spreadPolicy(words);
        });
  const spreadPolicy = async (words: PolicyWords): Promise<void> => {
    const taking = [...crew.members].map(async (member) => {
      try {
        await member.ask({ about: 'policy', policy: words });
      } catch (error) {
        if (!crew.members.has(member)) return;
        log.error(
          { worker: member.id, pid: member.pid, reason: reasonOf(error) },
          'worker does not take the policy, ending it',
        );
        member.kill();
        await member.gone;
      }
    });
    await Promise.all(taking);
  };
  let healthy = audit.healthy();
  const auditLook = setInterval(() => {
    if (audit.healthy() === healthy) return;
    healthy = !healthy;
    for (const member of crew.members) member.send({ kind: 'audit-health', healthy });
  }, AUDIT_LOOK);
  auditLook.unref();

  return {
    ...at,
    reloadPolicy: policyWatch?.reload ?? null,
    async applyRecords(causes) {
      let workersEnded = 0;
      const asked = crew.ready().map(async (member) => {
        try {
          return (await crew.demand(member, { about: 'records', causes })) as AppliedHere;
        } catch (error) {
          // What a dead worker served has ended with it.
          if (crew.members.has(member)) throw error;
          if (member.hung) workersEnded++;
          return null;
        }
      });
      const applied = (await Promise.all(asked)).filter((one) => one !== null);
      return {
        revision: applied.length === 0 ? 0 : Math.min(...applied.map(({ revision }) => revision)),
        cut: applied.reduce((sum, { cut }) => addWork(sum, cut), NO_WORK),
        workersEnded,
      };
    },
    open: () => counts.open,
    async health(): Promise<GateHealth> {
      const asked = crew.ready();
      const told = await Promise.all(asked.map(askHealth));
      // All that one had counted which has ended meanwhile is in `retired`.
      const there = asked.flatMap((member, i) => (crew.members.has(member) ? [{ member, said: told[i] ?? null }] : []));
      const said = there.flatMap((one) => one.said ?? []);
      const all = (good: (one: WorkerHealth) => boolean): boolean => said.length > 0 && said.every(good);
      const [store, upstream] = [all((one) => one.store), all((one) => one.upstream)];
      const sum = there.reduce((total, one) => addMetrics(total, one.said?.metrics ?? one.member.metrics), metrics);
      // While it drains, who is done is not missed.
      const serves = said.length === (ending ? there.length : size);
      const ok = store && upstream && audit.healthy() && serves;
      return {
        status: ok ? 'ok' : 'degraded',
        store,
        audit: audit.healthy(),
        upstream,
        workers: serves,
        connections: said.reduce((total, one) => total + one.connections, 0),
        locks: said[0]?.locks ?? { standing: 0, everyone: false },
        metrics: addMetrics(addMetrics(sum, retired), enrolling?.metrics() ?? null),
        ends: standing.ends(),
      };
    },
    async drain(ms, hurry) {
      ending = true;
      crew.dismiss();
      door.close();
      await enrolling?.stop();
      const all = [...crew.members];
      for (const member of all) member.send({ kind: 'drain', ms });
      const hurryUp = (): void => {
        for (const member of all) member.send({ kind: 'hurry' });
      };
      // A signal that is aborted already tells nobody.
      if (hurry?.aborted === true) hurryUp();
      hurry?.addEventListener('abort', hurryUp);
      const guard = setTimeout(() => {
        for (const member of all) member.kill();
      }, ms + END_TIME);
      await Promise.all(all.map(({ gone }) => gone));
      clearTimeout(guard);
      clearInterval(auditLook);
      stopStanding();
      policyWatch?.stop();
      limitedLog.close();
    },
  };
}

/** Null when it does not say so in time, or is gone. */
async function askHealth(member: Member): Promise<WorkerHealth | null> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<null>((resolve) => {
    timer = setTimeout(() => resolve(null), HEALTH_TIME);
  });
  const said = member.ask({ about: 'health' }).then(
    (answer) => {
      const health = answer as WorkerHealth;
      // Should it be killed before it tells again, nothing that was told of it is taken back: counters only grow.
      member.metrics = health.metrics;
      return health;
    },
    () => null,
  );
  const health = await Promise.race([said, late]);
  clearTimeout(timer);
  return health;
}
