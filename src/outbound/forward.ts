// What the outbound sidecar does with each request of the Prefect client beside it: passes it on with the client's own
// Host, so that links in Prefect's answers lead back to the sidecar, and says that this client speaks http. It holds a
// certificate for whoever can reach it, so it refuses what a web page could have sent: a Host that is not its own name
// (DNS rebinding) and any Origin or Sec-Fetch-Site of another site.

import { reasonOf } from '../errors.ts';
import type { RequestHead } from '../http1/request-head.ts';
import type { Malformed } from '../http1/syntax.ts';
import { framingLine, isHopByHop } from '../http1/write.ts';
import type { LimitedLog } from '../observe/limited-log.ts';
import type { Log } from '../observe/log.ts';
import { countAnswer } from '../observe/metrics.ts';
import type { Answer, Forward, Handler, Outcome } from '../proxy/contract.ts';
import type { SidecarState } from './sidecar-state.ts';

const MAINTENANCE = 'retry-after: 2\r\nprefect-maintenance: true\r\n';
const LOOPBACK = /^(?:localhost|127\.\d{1,3}\.\d{1,3}\.\d{1,3}|\[::1\])(?::\d{1,5})?$/i;

// Verification of the gate's certificate failed: waiting would not help.
const UNTRUSTED = /^(?:CERT_|UNABLE_TO_|SELF_SIGNED|DEPTH_ZERO|ERR_TLS_CERT|HOSTNAME_MISMATCH|INVALID_PURPOSE)/;

/** Its certificate is not valid at the time that the clock here shows. */
const OUT_OF_TIME = /^CERT_(?:HAS_EXPIRED|NOT_YET_VALID)/;

export interface ForwardOptions {
  readonly log: Log;
  readonly limitedLog: LimitedLog;
  readonly accessLog: boolean;
  /** The gate's URL, for messages. */
  readonly gate: string;
  /** Further Host names that clients may use, lower case, without port; `*` for any (an address that was called safe). */
  readonly allowedHosts: readonly string[];
  /** Why nothing can be asked of the gate until somebody has done something; null while it can. */
  readonly ended: () => string | null;
  /** The gate, or Prefect, has answered 403. */
  readonly refused: () => void;
  /** What is asked and how it ends is counted there, and how the gate answers noted. */
  readonly state: Pick<SidecarState, 'counts' | 'gate'>;
}

/** The decisions for the connections of one sidecar. */
export function forwardTo(options: ForwardOptions): Handler<Answer | Forward> {
  const { state } = options;
  return {
    decide(head) {
      const verdict = decide(head, options);
      state.counts.requests++;
      if (verdict.kind === 'answer') state.counts.refused++;
      return verdict;
    },
    refuseMalformed(problem: Malformed): Answer {
      state.counts.refused++;
      options.limitedLog.say('warn', 'malformed', { reason: problem.reason }, 'malformed request refused');
      return answer(problem.status, problem.reason, '');
    },
    upstreamFailed(problem: string, connected: boolean): Answer {
      state.counts.upstreamFailures++;
      if (!connected) state.gate = false;
      options.limitedLog.say('warn', 'gate', { gate: options.gate, reason: problem }, 'the gate is not available');
      if (connected) return answer(502, 'the gate broke off before its answer was whole', '');
      if (UNTRUSTED.test(problem)) {
        const remedy = OUT_OF_TIME.test(problem) ? 'the clock of this machine (date -u)' : '--ca and --server-name';
        return answer(502, `the gate at ${options.gate} can't be trusted (${problem}): check ${remedy}`, '');
      }
      return answer(503, `the gate at ${options.gate} can't be reached (${problem})`, MAINTENANCE);
    },
    recordAwaited: () => {},
    rest: () => {},
    recordFailed: () => answer(500, 'nothing is recorded here', ''),
    fault(error: unknown): void {
      options.log.error({ stack: error instanceof Error ? error.stack : reasonOf(error) }, 'fault: please report this');
    },
    finished(head: RequestHead, verdict, outcome: Outcome): void {
      countAnswer(state.counts, outcome.status, outcome.milliseconds, outcome.upgraded);
      if (verdict.kind === 'forward') {
        if (outcome.status === 403) options.refused();
        else if (outcome.ending === 'complete' && !outcome.upgraded) state.gate = true;
      }
      if (!options.accessLog) return;
      const { status, milliseconds, ending } = outcome;
      const path = head.target.split('?', 1)[0];
      options.log.info(
        { method: head.method, path, status, ms: Math.round(milliseconds * 10) / 10, ending },
        'request',
      );
    },
  };
}

function decide(head: RequestHead, options: ForwardOptions): Answer | Forward {
  if (!hostAllowed(head.host, options.allowedHosts)) {
    const detail = `the Host ${head.host} is not this sidecar: use http://127.0.0.1:PORT, or allow it with --allow-host`;
    return { ...answer(421, detail, ''), close: true };
  }
  const ended = options.ended();
  if (ended !== null) return answer(403, ended, '');
  let text = `${head.method} ${head.target} HTTP/1.1\r\n`;
  for (let i = 0; i < head.names.length; i++) {
    const name = head.names[i] ?? '';
    const value = head.values[i] ?? '';
    if (name === 'origin' && !sameOrigin(value, head.host)) return foreignPage();
    if (name === 'sec-fetch-site' && value !== 'same-origin' && value !== 'none') return foreignPage();
    if (isHopByHop(name) || name.startsWith('x-certgate-') || head.connectionNames?.includes(name)) continue;
    text += `${name}: ${value}\r\n`;
  }
  if (head.upgrade === 'websocket') text += 'upgrade: websocket\r\nconnection: Upgrade\r\n';
  if (head.bodyLength !== 0) text += framingLine(head.bodyLength);
  else if (head.method === 'POST' || head.method === 'PUT' || head.method === 'PATCH') text += 'content-length: 0\r\n';
  return {
    kind: 'forward',
    head: { bytes: Buffer.from(`${text}x-certgate-client-proto: http\r\n\r\n`, 'latin1'), held: false },
    answerExtra: '',
    recorded: null,
    rewriteTunnel: null,
    rewriteAnswer: null,
  };
}

function hostAllowed(host: string, allowed: readonly string[]): boolean {
  if (LOOPBACK.test(host)) return true;
  const name = host.toLowerCase().replace(/:\d+$/, '');
  return allowed.includes(name) || allowed.includes('*');
}

function sameOrigin(origin: string, host: string): boolean {
  return origin.toLowerCase() === `http://${host.toLowerCase()}`;
}

function foreignPage(): Answer {
  return { ...answer(403, "a web page of another origin may not use this machine's certificate", ''), close: true };
}

function answer(status: number, detail: string, extra: string): Answer {
  return { kind: 'answer', status, detail: `certgate: ${detail}`, extra, close: false, recorded: null };
}
