// The workers as processes (node:cluster): forks them, hands them sockets, asks them, and replaces one that dies, with
// back-off, so that one that can't live does not eat the machine. A dead worker takes only what it was serving: sockets that
// still wait for it go to another. Node does not tell when the kernel refuses to pass a socket (EMFILE, ETOOMANYREFS, ENOBUFS),
// and then says nothing to that worker any more: so each worker says itself what it has taken. One that hangs, or was stopped,
// dies by nothing: each is asked for a sign of life, and is ended without one. Workers end with this process: node:cluster ends
// a worker whose channel has closed.
//
// Sockets are accepted in the primary and sent to the worker with the fewest open ones (in turn among equals), rather than by
// either of node:cluster's own ways. Measured with two workers, Node 26: 32 connections of which a random one ends and
// another comes, 500 times, stood up to 28 apart under SCHED_NONE (the kernel wakes whichever it likes), 6 under SCHED_RR,
// and 2 here; of 32 that came at once, one worker got 12 more than the other under SCHED_RR. Prefect's clients make few and
// long-lived connections, so a bad share lasts. The price is CPU time for each connection, in all processes: 280 µs under
// SCHED_NONE, 380 under SCHED_RR, 480 here, beside a handshake's 1000 (before workers said what they have taken). Neither of
// the two knows, where it accepts, what limits over all workers must know: each would have to ask another process before each
// handshake.

import cluster, { type Worker } from 'node:cluster';
import { existsSync } from 'node:fs';
import type { Socket } from 'node:net';
import type { Log } from '../../observe/log.ts';
import type { Metrics } from '../../observe/metrics.ts';
import { type Debt, Debts } from './debts.ts';
import type { ToPrimary, ToWorker, WorkerQuestion } from './messages.ts';
import { openQuestions, type Questions } from './questions.ts';

/** Shortest and longest wait before a worker is replaced, ms; it doubles with each that does not live for STEADY. */
const BACK_OFF = { least: 100, most: 30_000 };
const STEADY = 10_000;
/** How often it is looked at what workers have not answered, ms. */
const LOOK = 1_000;
/** Looks after which a worker is ended that has not taken a socket, or not confirmed what others wait for. */
const LOOKS = 5;
/** Without a sign of life. Nobody waits for that, and a worker on a busy machine may be slow without being dead. */
const LIFE_LOOKS = 30;
/** Until it serves. */
const START_LOOKS = 120;

export interface Member {
  readonly id: number;
  readonly pid: number;
  ready: boolean;
  /** Connections that were sent to it and have not ended, with their addresses. */
  readonly open: Map<number, string>;
  /** The last metrics it told of; null before the first. */
  metrics: Metrics | null;
  send(message: ToWorker): void;
  ask(question: WorkerQuestion): Promise<unknown>;
  /** It did not answer, and was ended for that. */
  hung: boolean;
  readonly gone: Promise<void>;
  kill(): void;
}

export interface CrewOptions {
  readonly size: number;
  readonly program: { readonly exec: string; readonly args: readonly string[] };
  readonly log: Log;
  /** Everything but answers, which come back from `ask`. */
  readonly heard: (member: Member, message: ToPrimary) => void;
  /** A worker is gone, with all that it held. `how` is its exit code or signal. */
  readonly lost: (member: Member, how: string) => void;
}

export interface Crew {
  readonly members: ReadonlySet<Member>;
  /** Those that serve. */
  ready(): readonly Member[];
  /** The one that the next connection should go to; null when none serves. */
  next(): Member | null;
  /** Gives a counted connection to `member`; it is in `member.open` until it has ended. */
  hand(member: Member, socket: Socket, address: string): void;
  /** `member` says that it has `connection`. */
  taken(member: Member, connection: number): void;
  /** As `member.ask`, for what must hold everywhere: who does not answer is ended, and what it served with it. */
  demand(member: Member, question: WorkerQuestion): Promise<unknown>;
  /** Replaces nobody any more. */
  dismiss(): void;
}

interface Waiting {
  readonly socket: Socket;
  readonly connection: number;
  readonly address: string;
}

/** Sockets on their way to a worker. */
interface Queue {
  waiting: Waiting[];
  /** Not taken yet. */
  sending: { readonly what: Waiting; readonly debt: Debt } | null;
}

export function assembleCrew(options: CrewOptions): Crew {
  const { log, size } = options;
  cluster.setupPrimary({ exec: options.program.exec, args: [...options.program.args], serialization: 'advanced' });
  const place = process.cwd();
  const members = new Set<Member>();
  const queues = new Map<Member, Queue>();
  const debts = new Debts<Member>();
  const workers = new Map<Member, Worker>();
  let connections = 0;
  let turn = 0;
  let failures = 0;
  let dismissed = false;

  const ready = (): readonly Member[] => [...members].filter((member) => member.ready);

  const isBetter = (one: Member, other: Member): boolean => {
    const otherIsLate = debts.isLate(other);
    return debts.isLate(one) === otherIsLate ? one.open.size < other.open.size : otherIsLate;
  };

  const next = (): Member | null => {
    const all = ready();
    let best: Member | null = null;
    for (let i = 0; i < all.length; i++) {
      const member = all[(turn + i) % all.length];
      if (member !== undefined && (best === null || isBetter(member, best))) best = member;
    }
    turn++;
    return best;
  };

  // One at a time, as Node itself would; but here what waits is not lost with the worker.
  const pass = (member: Member): void => {
    const queue = queues.get(member);
    const worker = workers.get(member);
    if (queue === undefined || worker === undefined || queue.sending !== null) return;
    const first = queue.waiting.shift();
    if (first === undefined) return;
    const { socket, connection, address } = first;
    queue.sending = { what: first, debt: debts.owe(member, 'connection', LOOKS) };
    const message: ToWorker = { kind: 'connection', connection, address };
    worker.send(message, socket, { keepOpen: true }, (error) => {
      // Unsent it waits for bury(); so it does where no error is told, until it is taken.
      if (error !== null) member.kill();
    });
  };

  const taken: Crew['taken'] = (member, connection) => {
    const queue = queues.get(member);
    if (queue === undefined || queue.sending?.what.connection !== connection) return;
    // The worker's copy is its own, and ours is closed.
    queue.sending.what.socket.destroy();
    debts.paid(member, queue.sending.debt);
    queue.sending = null;
    pass(member);
  };

  const askIn = async (member: Member, question: WorkerQuestion, looks: number): Promise<unknown> => {
    const debt = debts.owe(member, question.about, looks);
    try {
      return await member.ask(question);
    } finally {
      debts.paid(member, debt);
    }
  };

  // Only who has ended surely has not taken a socket and will not: nobody else may have it before.
  const look = setInterval(() => {
    for (const [member, owes] of debts.look()) {
      const what = owes === 'connection' ? 'take a connection' : 'answer';
      log.error({ worker: member.id, pid: member.pid, owes }, `worker does not ${what}, ending it`);
      member.hung = true;
      member.kill();
    }
    for (const member of ready()) {
      // Any answer is one, also that it failed.
      if (!debts.owes(member, 'life')) askIn(member, { about: 'life' }, LIFE_LOOKS).catch(() => {});
    }
  }, LOOK);
  look.unref();

  const hand: Crew['hand'] = (member, socket, address) => {
    const connection = ++connections;
    member.open.set(connection, address);
    socket.on('error', () => {});
    queues.get(member)?.waiting.push({ socket, connection, address });
    pass(member);
  };

  const bury = (member: Member, how: string, since: number): void => {
    const queue = queues.get(member);
    const rest = [...(queue?.sending ? [queue.sending.what] : []), ...(queue?.waiting ?? [])];
    members.delete(member);
    queues.delete(member);
    workers.delete(member);
    debts.forget(member);
    // With nobody to take them they end, and are counted out with the rest of what it had.
    if (ready().length > 0) for (const { connection } of rest) member.open.delete(connection);
    options.lost(member, how);
    for (const { socket, address } of rest) {
      const other = next();
      if (other === null) socket.resetAndDestroy();
      else hand(other, socket, address);
    }
    if (dismissed) {
      if (members.size === 0) clearInterval(look);
      return;
    }
    failures = performance.now() - since < STEADY ? failures + 1 : 0;
    const delayMs = Math.min(BACK_OFF.most, BACK_OFF.least * 2 ** failures);
    log.error({ worker: member.id, pid: member.pid, how, delayMs }, 'worker lost, starting another');
    setTimeout(() => {
      if (!dismissed) fork();
    }, delayMs).unref();
  };

  const fork = (): void => {
    // A program does not start in a folder that was removed meanwhile, as a release's is.
    cluster.setupPrimary({ cwd: existsSync(place) ? place : '/' });
    const worker = cluster.fork();
    const since = performance.now();
    const gone = Promise.withResolvers<void>();
    let questions: Questions<WorkerQuestion> | null = null;
    const send = (message: ToWorker): void => {
      // Somebody waits for every message: one that is lost (the system had no memory for it) ends the worker, and another comes.
      if (worker.isConnected()) worker.send(message, undefined, undefined, (error) => error !== null && member.kill());
    };
    const asked = openQuestions<WorkerQuestion>((id, question) => send({ kind: 'ask', id, question }));
    questions = asked;
    const member: Member = {
      id: worker.id,
      pid: worker.process.pid ?? 0,
      ready: false,
      open: new Map(),
      metrics: null,
      hung: false,
      send,
      ask: (question) => asked.ask(question),
      gone: gone.promise,
      kill: () => void worker.process.kill('SIGKILL'),
    };
    members.add(member);
    workers.set(member, worker);
    queues.set(member, { waiting: [], sending: null });
    const starting = debts.owe(member, 'start', START_LOOKS);
    worker.on('message', (message: ToPrimary) => {
      // What it still says after its end is about connections that have been counted out.
      if (!members.has(member)) return;
      if (message.kind === 'ready') debts.paid(member, starting);
      if (message.kind === 'answer') questions?.answered(message.id, message.answer);
      else options.heard(member, message);
    });
    const ended = (how: string): void => {
      if (!members.has(member)) return;
      asked.end();
      bury(member, how, since);
      gone.resolve();
    };
    worker.once('exit', (code, signal) => ended(signal ?? `exit code ${code}`));
    // One that could not even be started (EMFILE, EAGAIN) says so here, and never that it has ended.
    worker.on('error', (error) => {
      if (worker.process.pid === undefined) ended(error.message);
    });
  };

  for (let i = 0; i < size; i++) fork();
  return {
    members,
    ready,
    next,
    hand,
    taken,
    demand: (member, question) => askIn(member, question, LOOKS),
    dismiss() {
      dismissed = true;
    },
  };
}
