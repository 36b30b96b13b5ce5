// EST for a client that is let in, beside its requests for Prefect: as the proxy above has answers. What the client may not
// do by its certificate through certgate's own paths, it may not do through these (enrolment.ts).

import type { RequestHead } from '../http1/request.ts';
import type { Answer, Take } from '../proxy/contract.ts';
import { addressKey } from './door-counts.ts';
import { throughSidecar } from './enrolment.ts';
import { answerEst, type EstAnswer } from './est.ts';
import type { GateState } from './gate-state.ts';

export interface EstRefusal extends Pick<Answer, 'status' | 'detail' | 'body' | 'extra'> {
  readonly kind: 'refuse';
  readonly code: string;
  readonly close: boolean;
}

/** What a request for `path`, decoded once, comes to; `foreign`: why it may come from another site's page. */
export function answerHolder(
  head: RequestHead,
  path: string,
  foreign: string | null,
  holder: { readonly serial: string; readonly address: string },
  gate: GateState,
): Answer | Take | EstRefusal {
  const refuse = (code: string, why: Omit<EstAnswer, 'kind'>, detail: string): EstRefusal => {
    const { status, type, text, extra } = why;
    return { kind: 'refuse', code, status, detail, body: { type, text }, extra, close: head.bodyLength !== 0 };
  };
  const { desk, enrolment: policy, limitedLog: log } = gate;
  const visitor = { ...holder, addressKey: addressKey(holder.address) };
  const reply = answerEst(head, path, visitor, { desk, policy, log, trust: () => gate.trust });
  if ('refused' in reply) return refuse('CG_EST_REQUEST', reply, reply.refused);
  if (reply.kind === 'answer') return answerOf(reply);
  const barred = foreign === null ? throughSidecar(head) : { code: 'CG_REQUEST_CROSS_SITE', detail: foreign };
  if (barred !== null) {
    const why = { status: 403, type: 'text/plain', text: `certgate: ${barred.detail}\n`, extra: '' };
    return refuse(barred.code, why, barred.detail);
  }
  return { ...reply, answer: async (body) => answerOf(await reply.answer(body)) };
}

function answerOf({ status, type, text, extra }: EstAnswer): Answer {
  return { kind: 'answer', status, detail: '', body: { type, text }, extra, close: false, recorded: null };
}
