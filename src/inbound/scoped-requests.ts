// A request that is permitted within a scope only, or only for what was deployed, held until it is known whether it is that: its
// body read as Prefect reads it, what it is about looked up, and then sent on, byte for byte unless the scope had to be added to
// its filter, or refused.
// Whoever can't be asked refuses for now, with 503. In observe mode all pass unchanged, and what would not is counted.

import { reasonOf } from '../errors.ts';
import type { Operation } from '../policy/operation.ts';
import { beyondWords, fieldWords } from '../policy/refusal.ts';
import { WANTED } from '../policy/run-overrides.ts';
import type { Scope } from '../policy/scope.ts';
import type { Need } from '../policy/scope-refs.ts';
import { examineText } from '../policy/scope-request.ts';
import { filterWithout } from '../policy/untold.ts';
import type { BodyInspector, BodyVerdict } from '../proxy/contract.ts';
import { bodyProblem, mostOf, textOfBody } from './block-secrets.ts';
import type { GateState } from './gate-state.ts';
import {
  type Asker,
  type BodyAnswers,
  type Forbidden,
  type Judged,
  judge,
  noteObserved,
  policyFor,
} from './permission.ts';
import { toldTooMuch } from './told-too-much.ts';

/** Holds a request that was judged to its limits; null where there are none, or it is known to be within. */
export function scopeInspector(
  { judgement, operation, head }: Judged,
  gate: GateState,
  { identity, attributes, address }: Asker,
  answers: BodyAnswers,
): BodyInspector | null {
  const scoped = judgement?.scoped ?? null;
  if (judgement === null || scoped === null || operation === null) return null;
  // Only observed, or it would have been refused.
  if (bodyProblem(head, mostOf(operation)) !== null) return null;
  const { scope, needs, readBody, unsaid, without } = scoped;
  // The usual way of a worker: what it asks about is what it has asked about a moment ago.
  const reads = readBody || unsaid !== null || without.length > 0;
  if (scope !== null && !reads && gate.lookups.inside(scope, needs)) return null;
  return async (body) => {
    const refuse = (why: Forbidden): BodyVerdict => {
      if (judgement.observed) {
        noteObserved(why, gate, { identity, address, operation: operation.name });
        return answers.send(body);
      }
      if (why.status === 403) gate.metrics.forbidden++;
      return answers.refuse(why);
    };
    const beyond = (why: string, within: Scope): BodyVerdict => {
      const { role, rule } = judgement;
      const said = { identity, role: role ?? '', rule: rule ?? '', operation: operation.name, scope: within, why };
      return refuse({ status: 403, code: 'CG_SCOPE', detail: beyondWords(said) });
    };
    const text = reads ? textOfBody(body) : '';
    if (text === null) return refuse(bad('is not UTF-8'));
    let changed: unknown = null;
    if (scope !== null) {
      let more: readonly Need[] = [];
      if (readBody) {
        const said = examineText(operation, text, scope);
        if (said.kind === 'bad') return refuse(bad(said.problem));
        if (said.kind === 'refuse') return beyond(said.why, scope);
        ({ needs: more, body: changed } = said);
      }
      try {
        const outside = await gate.lookups.outside(scope, [...needs, ...more], identity);
        if (outside !== null) return beyond(outsideWords(outside), scope);
      } catch (error) {
        return refuse(unknown(gate, operation, error));
      }
    }
    if (without.length > 0) {
      const said = filterWithout(changed ?? text, without);
      if (typeof said === 'string') return refuse(bad(said));
      changed = said;
    }
    // Last: what of a deployment's is said back by it is nobody's who may not see the deployment.
    if (unsaid !== null) {
      const policy = policyFor(gate, { attributes });
      try {
        const said = await toldTooMuch(text, operation, unsaid, (question) => gate.ask(question, identity));
        if (said !== null && 'problem' in said) return refuse(bad(said.problem));
        if (said !== null && policy !== null) {
          const grants = policy.grants(identity, attributes);
          const permission = WANTED[said.field];
          // It has it, but not as far as this.
          if (scope !== null && grants.has(permission))
            return beyond(`says ${said.field}, and its ${permission} does not reach there`, scope);
          const whose = { identity, ...grants };
          const detail = fieldWords(whose, operation, said.field, permission);
          return refuse({ status: 403, code: 'CG_PERMISSION', detail });
        }
      } catch (error) {
        return refuse(unknown(gate, operation, error));
      }
    }
    return answers.send(changed === null || judgement.observed ? body : Buffer.from(JSON.stringify(changed), 'utf8'));
  };
}

/** Whether the WebSocket that `opened` is may stay open under the present policy. */
export function stillPermitted({ operation, judgement }: Judged, gate: GateState, asker: Asker): boolean {
  const now = judge(policyFor(gate, asker), asker, operation, '');
  if (now.refusal !== null) return false;
  // Its messages would have had to be read from the first one on.
  return !now.readMessages || judgement?.readMessages === true;
}

/** What was looked up of what `operation` writes holds no more. */
export function forgetWritten(operation: Operation | null, lookups: GateState['lookups']): void {
  const id = operation?.params['id'];
  if (id !== undefined) lookups.forget(id);
  // Which ones it says in its body, or its filter finds.
  else if (operation !== null && MANY.test(operation.name)) lookups.forget(null);
}

const MANY = /^(?:bulk_(?:delete|set)_.*|create_deployment|(?:update|delete)_work_queue)$/;

function bad(problem: string): Forbidden {
  return { status: 400, code: 'CG_REQUEST_BODY', detail: `the body ${problem}` };
}

/** That it can't be found out whose something is. */
export function unknown(gate: GateState, operation: Operation, error: unknown): Forbidden {
  const fields = { operation: operation.name, reason: reasonOf(error) };
  gate.limitedLog.say('warn', 'CG_SCOPE_UNKNOWN', fields, 'Prefect does not say whose something is');
  const detail = "the gate can't ask Prefect whose this is, and lets it pass only when it can";
  return { status: 503, code: 'CG_SCOPE_UNKNOWN', detail, wait: true };
}

/** Completes "it …". The kind of thing alone: what a client sent is not said back. */
export function outsideWords({ ref }: Need): string {
  return `is about a ${ref.type.replace(/_(?:name|of|key)$/, '').replaceAll('_', ' ')} that is not`;
}
