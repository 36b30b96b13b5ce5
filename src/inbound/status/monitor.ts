// What a monitor is told of a running gate: whether it lives, whether it can be used, and its counters. No name of anybody is in
// it, and no question changes anything; but how busy Prefect is may be nobody's business, so that it is off unless asked for.
import { EXPOSITION_TYPE, exposition } from '../../observe/exposition.ts';
import type { GateHealth } from '../gate.ts';
import { type Asker, answerBare, answerWith, type Content, type StatusAnswer } from './answer.ts';
import type { PlainAnswers } from './plain-listener.ts';

export interface MonitorOptions {
  readonly health: () => Promise<GateHealth>;
  readonly version: string;
  /** Told to stop, and finishing what is under way. */
  readonly draining: () => boolean;
  readonly failed: (error: unknown) => void;
}

/** How long an answer about the gate's health is good for once it is there, ms: each has it try whether Prefect can be reached. */
const KEPT = 1_000;
const TEXT = 'text/plain; charset=utf-8';

/** Answers `/livez`, `/readyz` and `/metrics`. */
export function openMonitor({ health, version, draining, failed }: MonitorOptions): PlainAnswers {
  const started = Date.now() - performance.now();
  let known: Promise<GateHealth> | null = null;
  const healthNow = (): Promise<GateHealth> => {
    if (known !== null) return known;
    const asked = health();
    const forget = (): void => {
      known = null;
    };
    asked.then(() => setTimeout(forget, KEPT).unref(), forget);
    known = asked;
    return asked;
  };

  const readiness = async (asker: Asker): Promise<StatusAnswer> => {
    const parts = { ...partsOf(await healthNow()), serving: !draining() };
    const lines = Object.entries(parts).map(
      ([part, good]) => `${good ? '[+]' : '[-]'}${part} ${good ? 'ok' : 'failed'}\n`,
    );
    const ready = Object.values(parts).every((good) => good);
    return told(lines.join(''), asker, ready ? {} : { status: 503 });
  };

  const counters = async (asker: Asker): Promise<StatusAnswer> => {
    const now = await healthNow();
    const { user, system } = process.cpuUsage();
    const text = exposition({
      metrics: now.metrics,
      version,
      parts: partsOf(now),
      locks: now.locks.standing,
      ends: now.ends,
      process: { cpu: (user + system) / 1e6, resident: process.memoryUsage.rss(), started },
    });
    return told(text, asker, { type: EXPOSITION_TYPE });
  };

  const routes: Readonly<Record<string, (asker: Asker) => Promise<StatusAnswer>>> = {
    '/livez': async (asker) => told('ok\n', asker),
    '/readyz': readiness,
    '/metrics': counters,
  };

  return {
    failed,
    async answer({ method, target }, _body, close) {
      const path = target.split('?', 1)[0] ?? '';
      const route = Object.hasOwn(routes, path) ? routes[path] : undefined;
      if (route === undefined) return answerBare(404, close, Date.now());
      if (method !== 'GET' && method !== 'HEAD') return answerBare(405, close, Date.now(), 'allow: GET, HEAD\r\n');
      return route({ isHead: method === 'HEAD', knownTag: null, close });
    },
  };
}

/** An answer that nobody keeps. */
function told(text: string, asker: Asker, other: Partial<Pick<Content, 'type' | 'status'>> = {}): StatusAnswer {
  const content = { type: TEXT, parts: [Buffer.from(text, 'utf8')], fresh: null, ...other };
  return answerWith(content, asker, Date.now());
}

function partsOf(of: GateHealth): Record<'store' | 'record' | 'upstream' | 'workers', boolean> {
  const { store, audit: record, upstream, workers } = of;
  return { store, record, upstream, workers };
}
