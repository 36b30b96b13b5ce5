// What sees a WebSocket's messages on their way: the server's password put into the first one, where the gate holds it; and
// by a policy's word what the client sends, or what it is sent, read message by message against the policy as it is then.

import { beyondWords } from '../policy/refusal.ts';
import { type Scope, scopeWords } from '../policy/scope.ts';
import { untold } from '../policy/untold.ts';
import type { Forward, TunnelRewriter, TunnelStep } from '../proxy/contract.ts';
import { rewriteAuthMessage } from './auth-message.ts';
import type { GateState } from './gate-state.ts';
import type { RequestSlot } from './identity-counts.ts';
import { type MessageVerdict, readMessages } from './messages.ts';
import { type Asker, type Forbidden, type Judged, judge, noteObserved, policyFor } from './permission.ts';
import { judgeHeard, judgeMessages, listens } from './scoped-messages.ts';
import { outsideWords, unknown } from './scoped-requests.ts';

/** Those of a request that was judged; `holder` counts what waits; `record` resolves once it is on record that a message was refused. */
export function tunnelRewriters(
  reading: Judged,
  gate: GateState,
  asker: Asker,
  holder: RequestSlot['holder'],
  record: (why: Forbidden) => Promise<void>,
): Pick<Forward, 'rewriteTunnel' | 'rewriteTunnelBack'> {
  if (reading.head.upgrade !== 'websocket') return NONE;
  const auth = gate.authString === null ? null : rewriteAuthMessage(gate.authString);
  const holds = holder();
  const reader = messageReader(reading, gate, asker, holds, record);
  const rewriteTunnel = reader === null ? auth : auth === null ? reader : inTurn(reader, auth);
  return { rewriteTunnel, rewriteTunnelBack: heardReader(reading, gate, asker, holds) };
}

const NONE = { rewriteTunnel: null, rewriteTunnelBack: null };

/** Reads what the client sends on a WebSocket that was judged; null where that is no matter. `record` as above. */
function messageReader(
  { judgement, operation }: Judged,
  gate: GateState,
  asker: Asker,
  holds: (bytes: number) => boolean,
  record: (why: Forbidden) => Promise<void>,
): TunnelRewriter | null {
  if (judgement === null || operation === null || !judgement.readMessages || listens(operation)) return null;
  // By the policy as it is when the message comes.
  const { identity, attributes, address } = asker;
  const now = () => judge(policyFor(gate, asker), asker, operation, '');
  const scopeNow = (): Scope | null => {
    const ruling = policyFor(gate, asker)?.grants(identity, attributes).rule(operation);
    return ruling?.permit === true ? ruling.scope : null;
  };
  const close = async (why: Forbidden): Promise<MessageVerdict> => {
    if (now().observed) {
      noteObserved(why, gate, { identity, address, operation: operation.name });
      return { kind: 'pass' };
    }
    gate.metrics.forbidden++;
    await record(why);
    return { kind: 'close', reason: `certgate: ${why.code}: ${why.closeWebSocket ?? why.detail}` };
  };
  const beyond = async (why: string): Promise<MessageVerdict> => {
    const scope = scopeNow();
    const { role, rule } = now();
    const said = { identity, role: role ?? '', rule: rule ?? '', operation: operation.name, why };
    const detail = scope === null ? `${identity}: it ${why}` : beyondWords({ ...said, scope });
    // Of a close 123 octets are read: what is on record would be cut before it comes to the point.
    const closeWebSocket = scope === null ? `it ${why}` : `only within ${scopeWords(scope)}, and it ${why}`;
    return await close({ status: 403, code: 'CG_SCOPE', detail, closeWebSocket });
  };
  return readMessages(
    'client',
    judgeMessages(operation, {
      beyond,
      scope: scopeNow,
      observed: () => now().observed,
      async within(needs) {
        const scope = scopeNow();
        if (scope === null) return { kind: 'pass' };
        try {
          const outside = await gate.lookups.outside(scope, needs, identity);
          return outside === null ? { kind: 'pass' } : await beyond(outsideWords(outside));
        } catch (error) {
          return await close(unknown(gate, operation, error));
        }
      },
    }),
    holds,
  );
}

/** Reads what the client is sent on a WebSocket that was judged, and keeps back what is not for it; null where that is no matter. */
function heardReader(
  { judgement, operation }: Judged,
  gate: GateState,
  asker: Asker,
  holds: (bytes: number) => boolean,
): TunnelRewriter | null {
  if (judgement === null || operation === null || !judgement.readMessages || !listens(operation)) return null;
  const { identity, attributes } = asker;
  const grants = () => policyFor(gate, asker)?.grants(identity, attributes) ?? null;
  const observed = () => judge(policyFor(gate, asker), asker, operation, '').observed;
  const scopeNow = (): Scope | null => {
    const ruling = grants()?.rule(operation);
    return ruling?.permit === true && !observed() ? ruling.scope : null;
  };
  return readMessages(
    'server',
    judgeHeard({
      scoped: () => scopeNow() !== null,
      untold() {
        const now = grants();
        return now === null || observed() ? [] : (untold(operation, now, scopeNow())?.prefixes ?? []);
      },
      async some(refs) {
        const scope = scopeNow();
        if (scope === null) return { kind: 'pass' };
        try {
          for (const ref of refs) {
            if ((await gate.lookups.outside(scope, [{ ref, absent: 'refuse' }], identity)) === null)
              return { kind: 'pass' };
          }
          return { kind: 'drop' };
        } catch (error) {
          return { kind: 'close', reason: `certgate: ${unknown(gate, operation, error).code}` };
        }
      },
    }),
    holds,
  );
}

/** What `first` sends on, as far as `then` does; `then` may want to see no more before `first` does. */
function inTurn(first: TunnelRewriter, then: (bytes: Buffer) => TunnelStep): TunnelRewriter {
  let done = false;
  const go = (step: TunnelStep): TunnelStep => {
    if (done || step.send === null || step.send.length === 0) return step;
    const next = then(step.send);
    if (next.refuse !== undefined) return next;
    done = next.finished;
    return { ...step, send: next.send, finished: step.finished && done };
  };
  let passes = false;
  return (bytes) => {
    const step = passes ? { send: bytes, finished: true } : first(bytes);
    const act = (one: TunnelStep): TunnelStep => {
      passes ||= one.finished;
      return go(one);
    };
    return step instanceof Promise ? step.then(act) : act(step);
  };
}
