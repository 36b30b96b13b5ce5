// What happens to each request of an admitted client: is the gate able to decide, is the request plain enough to have
// one meaning, which of Prefect's operations is it, may a browser have been tricked into it; then it is recorded where
// it must be, and sent on with the gate's own headers. Refusals speak Prefect's language (prefect-facts.md §5): 403 with
// `{"detail": …}`, never 401; 503 with Retry-After in seconds and Prefect-Maintenance where waiting helps.

import { BUNDLE_PATH } from '../enroll/wire.ts';
import { reasonOf } from '../errors.ts';
import type { RequestHead } from '../http1/request-head.ts';
import type { Malformed } from '../http1/syntax.ts';
import { countAnswer } from '../observe/metrics.ts';
import type { Answer, AnswerRewriter, Forward, Handler, Outcome, Take, Withheld } from '../proxy/contract.ts';
import { POLICY_VIOLATION } from '../proxy/websocket.ts';
import type { Admitted } from './admission.ts';
import { bundleAnswer, bundleHeld } from './bundle.ts';
import { noteOutcome, type Refusing, recordOfDecision } from './decision-record.ts';
import { renewalProblem, takeRenewal } from './enrolment.ts';
import { answerHolder } from './est-holder.ts';
import type { GateState } from './gate-state.ts';
import type { RequestSlot } from './identity-counts.ts';
import { heldBytes, inspectorFor, isPlain, judgeReading } from './permission.ts';
import { answerChangeOf, openReadings, type Reading, withBody } from './reading.ts';
import { newRequestId } from './request-id.ts';
import { forgetWritten, scopeInspector, stillPermitted } from './scoped-requests.ts';
import { tunnelRewriters } from './scoped-tunnels.ts';

/**
 * Waiting helps: Prefect's client tries again after the seconds named, without counting it as a failure. That goes for
 * 429 as for 503; without the second line a 429 would in the end reach a worker's loop, which a 4xx ends.
 */
const MAINTENANCE = 'retry-after: 2\r\nprefect-maintenance: true\r\n';

interface Decision {
  readonly reading: Reading;
  readonly requestId: string;
  readonly code: string | null;
}

type Decided = (Answer | Forward | Take) & Decision;

/** The decisions about one connection, and whether the policy still permits the WebSocket that is open on it. */
export interface Decisions extends Handler<Decided> {
  readonly permitted: () => boolean;
}

/** The decisions for one admitted client's connection. `address` is its IP address, `slot` what its requests count in. */
export function decideFor(gate: GateState, client: Admitted, address: string, slot: RequestSlot): Decisions {
  const authorization =
    gate.authString === null ? null : `Basic ${Buffer.from(gate.authString, 'utf8').toString('base64')}`;
  const readings = openReadings(client, address, { authorization, apiPath: gate.apiPath });

  const record = (decision: Decision, status: number | null, reason: string | null) =>
    recordOfDecision(client, address, decision, status, reason);

  const refuse = (reading: Reading, why: Refusing): Answer & Decision => {
    gate.metrics.refused++;
    const requestId = newRequestId();
    const decision: Decision = { reading, requestId, code: why.code };
    return {
      kind: 'answer',
      status: why.status,
      detail: `certgate: ${why.detail}`,
      extra: `x-request-id: ${requestId}\r\n${why.wait === true ? MAINTENANCE : ''}${why.extra ?? ''}`,
      body: why.body ?? null,
      close: why.close === true,
      ...(why.closeWebSocket !== undefined && {
        closeWebSocket: { code: POLICY_VIOLATION, reason: `certgate: ${why.code}: ${why.closeWebSocket}` },
      }),
      // It is refused whether or not that can be recorded; but one client's refusals wait for each other.
      recorded: gate.audit.append(record(decision, why.status, why.detail)),
      ...decision,
    };
  };

  // Asked by every sidecar once a minute, of the gate itself: nothing of it goes on to Prefect.
  const tellBundle = (reading: Reading): Decided => {
    const { head } = reading;
    if (head.method !== 'GET' || head.bodyLength !== 0 || head.upgrade !== null) {
      const why = { code: 'CG_REQUEST_TARGET', detail: `${BUNDLE_PATH} can only be read`, extra: 'allow: GET\r\n' };
      return refuse(reading, { ...why, status: 405, close: head.bodyLength !== 0 });
    }
    const held = bundleHeld(head);
    if (held === gate.trust.bundleId) {
      const { serial, identity } = client;
      gate.noteBundle({ serial, identity, bundle: held, takenAt: Date.now() });
    }
    return { ...bundleAnswer(gate.trust, held), reading, requestId: newRequestId(), code: null };
  };

  const tellEst = (reading: Reading, path: string): Decided => {
    const said = answerHolder(reading.head, path, { serial: client.serial, address }, gate);
    if (said.kind === 'refuse') return refuse(reading, said);
    return { ...said, reading, requestId: newRequestId(), code: null };
  };

  let opened: Reading | null = null;
  const asker = { identity: client.identity, attributes: client.attributes, address };

  /** What is forwarded is on record, if it may change anything. */
  const recordOf = (reading: Reading, requestId: string): Promise<void> | null => {
    if (!reading.changes) return null;
    gate.metrics.auditRecords++;
    return gate.audit.append(record({ reading, requestId, code: null }, null, null));
  };

  const rewriters = (reading: Reading, requestId: string): ReturnType<typeof tunnelRewriters> =>
    tunnelRewriters(reading, gate, asker, slot.holder, async (why) => {
      const refused = { reading, requestId, code: why.code };
      // It is refused whether or not that can be recorded.
      await gate.audit.append(record(refused, null, why.detail)).catch(() => gate.metrics.auditFailures++);
    });

  /** What changes the answer; null for nothing. */
  const rewriterOf = (reading: Reading): AnswerRewriter | null => {
    const change = answerChangeOf(reading);
    return change === null ? null : { ...change, hold: slot.holder(), instead: (why) => withheld(reading, why) };
  };

  /** In place of an answer in which something has to be hidden. What may have changed something is not to be sent again: 500. */
  const withheld = ({ changes }: Reading, why: Withheld): Answer => {
    const sent = changes ? 'the request was sent on, but its answer' : 'the answer';
    if (why === 'unreadable') {
      const detail = `${sent} may hold what ${client.identity} may not see, and can't be read to hide it`;
      return answer(changes ? 500 : 502, detail, '');
    }
    gate.metrics.limitedRequests++;
    const detail = `${sent} has to be held to hide something in it, and as much is held for ${client.identity} as may be`;
    return changes ? answer(500, detail, '') : answer(429, detail, MAINTENANCE);
  };

  const decide = (head: RequestHead): Decided => {
    gate.metrics.requests++;
    const reading = readings.of(head);
    if (!gate.watch.healthy) {
      const detail = "the gate can't read its records and lets nobody pass until it can";
      return refuse(reading, { status: 503, code: 'CG_STORE_UNAVAILABLE', detail, wait: true });
    }
    if (Date.now() >= client.notAfter) {
      const detail = `the certificate of ${client.identity} has expired`;
      return refuse(reading, { status: 403, code: 'CG_CLIENT_EXPIRED', detail, close: true });
    }
    const { target } = reading;
    if (!target.ok) {
      const detail = `the request target ${target.reason}`;
      return refuse(reading, { status: 400, code: 'CG_REQUEST_TARGET', detail });
    }
    if (reading.own === 'bundle') return tellBundle(reading);
    if (reading.own === 'renew') {
      const why = renewalProblem(head);
      if (why !== null) return refuse(reading, why);
      const take = takeRenewal(gate.desk, { serial: client.serial, address });
      return { ...take, reading, requestId: newRequestId(), code: null };
    }
    if (reading.own === 'est') return tellEst(reading, target.path);
    if (reading.reserved) {
      return refuse(reading, { status: 400, code: 'CG_REQUEST_HOST', detail: 'the Host is reserved by Prefect' });
    }
    if (reading.foreign !== null) {
      return refuse(reading, { status: 403, code: 'CG_REQUEST_CROSS_SITE', detail: reading.foreign });
    }
    const refusal = judgeReading(reading, gate, asker);
    if (refusal !== null) return refuse(reading, refusal);
    if (head.upgrade !== 'websocket' && !slot.take(heldBytes(reading))) {
      gate.metrics.limitedRequests++;
      const fields = { identity: client.identity, address, code: 'CG_LIMIT_REQUESTS' };
      gate.limitedLog.say('warn', 'CG_LIMIT_REQUESTS', fields, 'request refused');
      const detail = `${client.identity} has as many requests in flight as it may have, or as much of them is held`;
      return refuse(reading, { status: 429, code: 'CG_LIMIT_REQUESTS', detail, wait: true });
    }
    if (head.upgrade === 'websocket') opened = reading;
    const requestId = newRequestId();
    if (reading.changes && !gate.audit.healthy()) {
      const detail = "the gate can't write its record and lets no write pass until it can";
      return refuse(reading, { status: 503, code: 'CG_AUDIT_UNWRITABLE', detail, wait: true });
    }
    const answerExtra = `x-request-id: ${requestId}\r\n`;
    if (isPlain(reading)) {
      return {
        kind: 'forward',
        head: readings.headFor(reading, requestId),
        answerExtra,
        recorded: recordOf(reading, requestId),
        rewriteAnswer: rewriterOf(reading),
        inspectBody: null,
        rewriteTunnel: null,
        rewriteTunnelBack: null,
        reading,
        requestId,
        code: null,
      };
    }
    const sendAs = (body: Buffer) => {
      return { kind: 'send', head: readings.headFor(withBody(reading, body.length), requestId), body } as const;
    };
    // On record as permitted by now: it never went.
    const refuseBody = (why: Refusing): Answer => {
      if (reading.changes) noteOutcome(gate.audit, requestId, why.status, 'refused', 0);
      return refuse(reading, why);
    };
    const within = scopeInspector(reading, gate, asker, {
      refuse: (why) => refuse(reading, why),
      send: (body) => ({ ...sendAs(body), recorded: recordOf(reading, requestId) }),
    });
    return {
      kind: 'forward',
      head: readings.headFor(reading, requestId),
      answerExtra,
      // Within a scope it is on record once it is decided.
      recorded: within === null ? recordOf(reading, requestId) : null,
      rewriteAnswer: rewriterOf(reading),
      inspectBody: within ?? inspectorFor(reading, gate, asker, { refuse: refuseBody, send: sendAs }),
      ...rewriters(reading, requestId),
      reading,
      requestId,
      code: null,
    };
  };

  return {
    decide,
    permitted: () => opened === null || stillPermitted(opened, gate, asker),
    refuseMalformed(problem: Malformed): Answer {
      gate.metrics.refused++;
      const fields = { identity: client.identity, address, status: problem.status, reason: problem.reason };
      gate.limitedLog.say('warn', `malformed ${client.serial}`, fields, 'malformed request refused');
      return answer(problem.status, problem.reason, '');
    },
    upstreamFailed(_problem: string, connected: boolean): Answer {
      gate.metrics.upstreamFailures++;
      return connected
        ? answer(502, 'the Prefect server broke off before its answer was whole', '')
        : answer(503, "the Prefect server can't be reached", MAINTENANCE);
    },
    recordAwaited({ recorded }) {
      if (recorded !== null) gate.audit.hurry(recorded);
    },
    recordFailed(problem: unknown): Answer {
      gate.metrics.auditFailures++;
      gate.limitedLog.say('error', 'unrecorded', { reason: reasonOf(problem) }, 'a write could not be recorded');
      // The request is on its way: 500, which Prefect's client does not repeat.
      return answer(500, 'the request was sent on, but it could not be recorded', '');
    },
    rest: () => readings.rest(),
    fault(error: unknown): void {
      // A client that has found one can bring it about as often as it likes.
      const stack = error instanceof Error ? error.stack : reasonOf(error);
      gate.limitedLog.say('error', 'fault', { stack }, 'fault: please report this');
    },
    finished(_head: RequestHead, verdict: Decided, outcome: Outcome): void {
      slot.free();
      opened = null;
      countAnswer(gate.metrics, outcome.status, outcome.milliseconds, outcome.upgraded);
      if (verdict.reading.changes) {
        forgetWritten(verdict.reading.operation, gate.lookups);
        if (verdict.kind === 'forward') {
          noteOutcome(gate.audit, verdict.requestId, outcome.status, outcome.ending, outcome.milliseconds);
        }
      }
      if (outcome.problem !== null && outcome.ending === 'upstream-failed') {
        const fields = { requestId: verdict.requestId, reason: outcome.problem };
        gate.limitedLog.say('warn', 'upstream', fields, 'upstream failed');
      }
      if (outcome.ending === 'withheld') {
        const fields = { requestId: verdict.requestId, identity: client.identity, reason: outcome.problem };
        gate.limitedLog.say('warn', `withheld ${client.identity}`, fields, 'answer withheld');
      }
      gate.access?.({
        subject: verdict.reading.subject,
        requestId: verdict.requestId,
        decision: verdict.code === null ? 'permit' : 'refuse',
        code: verdict.code ?? (outcome.ending === 'complete' ? null : outcome.ending),
        status: outcome.status,
        ms: outcome.milliseconds,
        bytesIn: outcome.requestBytes,
        bytesOut: outcome.answerBytes,
      });
    },
  };
}

function answer(status: number, detail: string, extra: string): Answer {
  return { kind: 'answer', status, detail: `certgate: ${detail}`, extra, close: false, recorded: null };
}
