// What a monitor is told of a running gate, or of a sidecar: whether it lives, whether it can be used, and its counters. No name of
// anybody is in it, and no question changes anything; but how busy Prefect is may be nobody's business, so that it is off unless
// asked for.
import { EXPOSITION_TYPE, exposition, type Told } from '../../observe/exposition.ts';
import { type Asker, answerBare, answerWith, type Content, type StatusAnswer } from './answer.ts';
import type { PlainAnswers } from './plain-listener.ts';

export interface MonitorOptions {
  readonly told: () => Promise<Told>;
  readonly version: string;
  /** Told to stop, and finishing what is under way. */
  readonly draining: () => boolean;
  readonly failed: (error: unknown) => void;
}

/** How long what was told is good for once it is there, ms: each time a gate tries whether Prefect can be reached. */
const KEPT = 1_000;
const TEXT = 'text/plain; charset=utf-8';

/** Answers `/livez`, `/readyz` and `/metrics`. */
export function openMonitor({ told, version, draining, failed }: MonitorOptions): PlainAnswers {
  const started = Date.now() - performance.now();
  let known: Promise<Told> | null = null;
  const toldNow = (): Promise<Told> => {
    if (known !== null) return known;
    const asked = told();
    const forget = (): void => {
      known = null;
    };
    asked.then(() => setTimeout(forget, KEPT).unref(), forget);
    known = asked;
    return asked;
  };

  const readiness = async (asker: Asker): Promise<StatusAnswer> => {
    const parts = { ...(await toldNow()).parts, serving: !draining() };
    const lines = Object.entries(parts).map(
      ([part, good]) => `${good ? '[+]' : '[-]'}${part} ${good ? 'ok' : 'failed'}\n`,
    );
    const ready = Object.values(parts).every((good) => good);
    return textAnswer(lines.join(''), asker, ready ? {} : { status: 503 });
  };

  const counters = async (asker: Asker): Promise<StatusAnswer> => {
    const now = await toldNow();
    const { user, system } = process.cpuUsage();
    const text = exposition({
      ...now,
      version,
      process: { cpu: (user + system) / 1e6, resident: process.memoryUsage.rss(), started },
    });
    return textAnswer(text, asker, { type: EXPOSITION_TYPE });
  };

  const routes: Readonly<Record<string, (asker: Asker) => Promise<StatusAnswer>>> = {
    '/livez': async (asker) => textAnswer('ok\n', asker),
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
function textAnswer(text: string, asker: Asker, other: Partial<Pick<Content, 'type' | 'status'>> = {}): StatusAnswer {
  const content = { type: TEXT, parts: [Buffer.from(text, 'utf8')], fresh: null, ...other };
  return answerWith(content, asker, Date.now());
}
