// EST for a client that is let in, beside its requests for Prefect: as the proxy above has answers.

import type { RequestHead } from '../http1/request-head.ts';
import type { Answer, Take } from '../proxy/contract.ts';
import { addressKey } from './door-counts.ts';
import { answerEst, type EstAnswer } from './est.ts';
import type { GateState } from './gate-state.ts';

export interface HolderRefusal extends Pick<Answer, 'status' | 'detail' | 'body' | 'extra'> {
  readonly kind: 'refuse';
  readonly code: string;
  readonly close: boolean;
}

/** What a request for `path`, decoded once, comes to. */
export function answerHolder(
  head: RequestHead,
  path: string,
  holder: { readonly serial: string; readonly address: string },
  gate: GateState,
): Answer | Take | HolderRefusal {
  const { desk, enrolment: policy, limitedLog: log } = gate;
  const visitor = { ...holder, addressKey: addressKey(holder.address) };
  const reply = answerEst(head, path, visitor, { desk, policy, log, trust: () => gate.trust });
  if ('code' in reply) {
    const { status, code, detail, type, text, extra } = reply;
    return { kind: 'refuse', status, code, detail, body: { type, text }, extra, close: head.bodyLength !== 0 };
  }
  if (reply.kind === 'answer') return answerOf(reply);
  return { ...reply, answer: async (body) => answerOf(await reply.answer(body)) };
}

function answerOf({ status, type, text, extra }: EstAnswer): Answer {
  return { kind: 'answer', status, detail: '', body: { type, text }, extra, close: false, recorded: null };
}
