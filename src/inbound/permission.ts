// The policy's say about a request of one admitted client: worked out when the connection first asks for it, then kept
// with what the connection reads again and again, until the policy is another. In observe mode nothing is refused; what
// would have been is counted and logged. No policy at all permits everything, within the pools that a certificate names.

import type { RequestHead } from '../http1/request-head.ts';
import type { LimitedLog } from '../observe/limited-log.ts';
import type { Metrics } from '../observe/metrics.ts';
import { explainOperation } from '../policy/explain.ts';
import { answersGraph } from '../policy/graph-masks.ts';
import { answersLimits } from '../policy/limit-masks.ts';
import type { Operation } from '../policy/operation.ts';
import type { CanonicalPath } from '../policy/paths.ts';
import { type Attributes, compilePolicy, type Grants, type Policy, type Ruling, reachesToo } from '../policy/policy.ts';
import {
  beyondWords,
  fieldWords,
  type RefusalCode,
  refusalBrief,
  refusalCode,
  refusalWords,
} from '../policy/refusal.ts';
import { fillsIn, makesQueues, startsDeployed } from '../policy/run-overrides.ts';
import { isPoolGroup, type Scope } from '../policy/scope.ts';
import type { Need } from '../policy/scope-refs.ts';
import { boundsOf } from '../policy/scope-request.ts';
import { answersBlocks, asksByBody, secretsQuestion } from '../policy/secrets.ts';
import { filtersEvents, pagesBeyond, untold } from '../policy/untold.ts';
import type { Answer, BodyInspector, BodyVerdict } from '../proxy/contract.ts';
import { bodyProblem, decideBody, mostOf } from './block-secrets.ts';
import { provenanceLines } from './provenance.ts';
import { startOfHead, targetBelow } from './request-head.ts';
import { messagesMatter } from './scoped-messages.ts';
import type { Unsaid } from './told-too-much.ts';

/** Who asks. */
export interface Asker {
  readonly identity: string;
  /** Of its certificate. */
  readonly attributes: Attributes;
  readonly address: string;
}

/** What the policy says, and what follows for the request. */
export interface Judgement {
  /** Whose word it is; null for no policy. Another policy needs another judgement. */
  readonly policy: Policy | null;
  readonly role: string | null;
  /** Where the binding stands that permits it; in observe mode why it would be refused. */
  readonly rule: string | null;
  readonly refusal: { readonly code: RefusalCode; readonly detail: string; readonly brief?: string } | null;
  /** The same, where it is only observed. */
  readonly wouldRefuse: { readonly code: RefusalCode; readonly detail: string } | null;
  /** Header lines that it gets on top, each with its CRLF. */
  readonly stamp: string;
  /** Its body may ask for secrets that the client may not see. */
  readonly readBody: boolean;
  /** How far it may go, and what has to be found out for that; null where that is no matter. */
  readonly scoped: Scoped | null;
  /** The client's messages have to be read: it is a WebSocket. */
  readonly readMessages: boolean;
  /** Nothing is refused, only counted. */
  readonly observed: boolean;
  /** The target to send on in place of the client's, with the question for secrets taken out; null for no change. */
  readonly target: string | null;
  /** What in the answer the client may not see: secrets of blocks, artifacts, or whose limits are; null for nothing. */
  readonly hides: 'secrets' | 'artifacts' | 'holders' | null;
}

/** What has to be found out for a request to go on. */
export interface Scoped {
  /** What all of `needs` must be within; null where it reaches everywhere. */
  readonly scope: Scope | null;
  readonly needs: readonly Need[];
  readonly readBody: boolean;
  /** What its body may not say; null where it may say all. */
  readonly unsaid: Unsaid | null;
  /** How the names of events begin that its filter must exclude; empty where that is no matter. */
  readonly without: readonly string[];
}

const UNJUDGED: Judgement = {
  policy: null,
  role: null,
  rule: null,
  refusal: null,
  wouldRefuse: null,
  stamp: '',
  readBody: false,
  scoped: null,
  readMessages: false,
  observed: false,
  target: null,
  hides: null,
};

/** What holds where there is no policy of anybody's: everything, for all. */
const EVERYTHING = compilePolicy({
  mode: 'enforce',
  secrets: 'refuse',
  roles: [],
  bindings: [{ place: 'no policy', roles: [{ text: 'Owner', place: '' }], identities: [], matches: () => true }],
});

/** The policy that holds for `asker`; null where nothing needs to be judged. */
export function policyFor(
  { policy }: Pick<PolicyGate, 'policy'>,
  { attributes }: Pick<Asker, 'attributes'>,
): Policy | null {
  return policy === null && attributes.groups.some(isPoolGroup) ? EVERYTHING : policy;
}

const STARTS_ANY = { needs: ['run_flows'] } as const;
const MAKES_QUEUES = { needs: ['write_work_queues'] } as const;

/** Whether queues may be made as far as `scope` reaches. They are of pools, which belong to no team: within a tag none is made. */
function makesThem(grants: Grants, scope: Scope | null): boolean {
  const ruling = grants.rule(MAKES_QUEUES);
  const everywhere = ruling.permit && ruling.scope === null;
  return everywhere || ((scope?.tag ?? null) === null && reachesToo(grants, MAKES_QUEUES, scope));
}

function hiddenFrom(
  grants: Grants,
  operation: Operation | null,
  scope: Scope | null,
  observed: boolean,
): Judgement['hides'] {
  if (observed) return null;
  if (answersBlocks(operation) && !grants.has('see_secret_blocks')) return 'secrets';
  if (answersGraph(operation) && !grants.has('see_artifacts')) return 'artifacts';
  return scope !== null && answersLimits(operation) ? 'holders' : null;
}

/** Judges `operation` (null: unknown) at `target` for `identity`. */
export function judge(
  policy: Policy | null,
  { identity, attributes }: Pick<Asker, 'identity' | 'attributes'>,
  operation: Operation | null,
  target: string,
): Judgement {
  if (policy === null) return UNJUDGED;
  const question = secretsQuestion(operation, target);
  const grants = policy.grants(identity, attributes);
  const ruling = grants.rule(operation);
  const observed = policy.mode === 'observe' || grants.observes;
  const readMessages = messagesMatter(operation, grants, ruling.permit ? ruling.scope : null);
  // The usual way; what a refusal needs is worked out only for one.
  if (ruling.permit && question === null) {
    const readBody = asksByBody(operation) && !grants.has('see_secret_blocks');
    const hides = hiddenFrom(grants, operation, ruling.scope, observed);
    const stamp = policy.createdBy === 'identity' ? provenanceLines(operation, identity) : '';
    const { role, rule } = ruling;
    const said = { ...UNJUDGED, policy, role, rule, readBody, readMessages, observed, stamp, hides };
    const asDeployed = startsDeployed(operation) && !reachesToo(grants, STARTS_ANY, ruling.scope);
    const queues = makesQueues(operation) && !makesThem(grants, ruling.scope);
    const variables = fillsIn(operation) && !grants.has('see_variables');
    const unsaid = asDeployed || queues || variables ? { asDeployed, queues, variables } : null;
    const lacks = untold(operation, grants, ruling.scope);
    const prefixes = lacks?.prefixes ?? [];
    const [lacking] = lacks?.permissions ?? [];
    if (operation !== null && lacking !== undefined && pagesBeyond(operation, target, prefixes)) {
      const detail = fieldWords({ identity, ...grants }, operation, 'a page of all events', lacking);
      return refusedOrObserved(said, { code: 'CG_PERMISSION', detail, brief: 'it is a page of all events' });
    }
    const without = observed || !filtersEvents(operation) ? [] : prefixes;
    const limited = ruling.scope !== null || unsaid !== null || without.length > 0;
    return limited ? withinLimits(said, identity, operation, target, ruling, { unsaid, without }) : said;
  }
  const said = explainOperation(policy, identity, operation, question?.asks === true, '', attributes);
  if (ruling.permit && said.permit) {
    const hidden = said.secrets === 'hide' && !observed ? (question?.target ?? null) : null;
    const hides = hiddenFrom(grants, operation, ruling.scope, observed);
    return { ...UNJUDGED, policy, role: ruling.role, rule: ruling.rule, observed, target: hidden, hides };
  }
  const refusal = { code: refusalCode(said), detail: refusalWords(said), brief: refusalBrief(said) };
  return refusedOrObserved({ ...UNJUDGED, policy, observed }, refusal);
}

function refusedOrObserved(said: Judgement, refusal: NonNullable<Judgement['refusal']>): Judgement {
  return said.observed
    ? { ...said, wouldRefuse: refusal, role: null, rule: `observe: ${refusal.code}` }
    : { ...said, refusal, role: null, rule: null };
}

/** What is permitted within a scope only, or only as it was deployed: refused at once, or to be found out about. */
function withinLimits(
  said: Judgement,
  identity: string,
  operation: Operation | null,
  target: string,
  { scope, role, rule }: Extract<Ruling, { permit: true }>,
  { unsaid, without }: Pick<Scoped, 'unsaid' | 'without'>,
): Judgement {
  const bounds = scope === null ? null : boundsOf(operation, target, scope);
  if (scope !== null && bounds?.kind === 'refuse') {
    const name = operation?.name ?? 'an operation that certgate does not know';
    const detail = beyondWords({ identity, role, rule, operation: name, scope, why: bounds.why });
    return refusedOrObserved(said, { code: 'CG_SCOPE', detail, brief: `it ${bounds.why}` });
  }
  const { needs, readBody } = bounds?.kind === 'check' ? bounds : { needs: [], readBody: false };
  const nothing = needs.length === 0 && !readBody && unsaid === null && without.length === 0;
  return nothing ? said : { ...said, scoped: { scope, needs, readBody, unsaid, without } };
}

/** What of a request the policy has to do with, and what it said. */
export interface Judged {
  readonly head: RequestHead;
  readonly target: CanonicalPath;
  readonly operation: Operation | null;
  /** Where Prefect has its API. */
  readonly apiPath: string;
  /** How the head for upstream begins. */
  start: string;
  /** What the policy says; null until it was asked. */
  judgement: Judgement | null;
}

/** Why a request is refused, as the gate answers it. */
export interface Forbidden {
  readonly status: number;
  readonly code: RefusalCode | 'CG_REQUEST_BODY' | 'CG_SCOPE_UNKNOWN';
  readonly wait?: boolean;
  readonly detail: string;
  /** A WebSocket is accepted and closed with this, in few words. */
  readonly closeWebSocket?: string;
}

/**
 * Judges a request, unless the present policy has, counts what comes of it, and answers why it is refused or null. The head
 * for upstream begins anew where the policy changes the target.
 */
export function judgeReading(reading: Judged, gate: PolicyGate, asker: Asker): Forbidden | null {
  const { identity, address } = asker;
  const { metrics } = gate;
  const policy = policyFor(gate, asker);
  if (policy === null && reading.judgement === null) return null;
  let { judgement } = reading;
  if (judgement === null || judgement.policy !== policy) {
    const { head, target, operation } = reading;
    const asked = target.ok ? target.target : '';
    const judged = judgement !== null;
    judgement = asJson(judge(policy, asker, operation, asked), head);
    reading.judgement = judgement;
    const changes = judgement.target !== null || judgement.stamp !== '';
    if (judged || changes)
      reading.start = startOfHead(head, targetBelow(reading.apiPath, judgement.target ?? asked)) + judgement.stamp;
  }
  if (judgement.policy === null) return null;
  const { refusal, wouldRefuse, readBody, scoped } = judgement;
  const name = reading.operation?.name ?? null;
  if (name === null) metrics.unknownOperations++;
  if (wouldRefuse !== null) noteObserved(wouldRefuse, gate, { identity, address, operation: name });
  if (readBody || scoped !== null) {
    const problem = bodyProblem(reading.head, mostOf(reading.operation));
    if (problem !== null) {
      const why = { code: 'CG_REQUEST_BODY', ...problem } as const;
      if (!judgement.observed) return why;
      noteObserved(why, gate, { identity, address, operation: name });
    }
  }
  if (refusal === null) return null;
  metrics.forbidden++;
  const closes = CLOSED_WITH_A_REASON.has(name) && reading.head.upgrade === 'websocket';
  return { status: 403, ...refusal, ...(closes && { closeWebSocket: refusal.brief ?? '' }) };
}

/**
 * On the way in of events an HTTP error loses what Prefect's client has not sent yet; after a close it tries again for some
 * seconds. A task worker takes 403 for a wrong password, and a close for what it says. The others end at 403
 * (docs/policy.md).
 */
const CLOSED_WITH_A_REASON: ReadonlySet<string | null> = new Set(['stream_events_in', 'scheduled_task_subscription']);

/** What is read as JSON goes on as JSON, also where the client does not say what it is. */
function asJson(said: Judgement, { names }: RequestHead): Judgement {
  const { scoped } = said;
  const limited = scoped !== null && (scoped.readBody || scoped.unsaid !== null || scoped.without.length > 0);
  const reads = said.readBody || limited;
  return reads && !names.includes('content-type')
    ? { ...said, stamp: `${said.stamp}content-type: application/json\r\n` }
    : said;
}

/** Whether all there was to decide about a request that was judged is decided by its head: the usual way. */
export function isPlain({ head, judgement }: Judged): boolean {
  return head.upgrade !== 'websocket' && !(judgement !== null && (judgement.readBody || judgement.scoped !== null));
}

/** The bytes of its body that wait until it is decided; none of one that is streamed. */
export function heldBytes(judged: Judged): number {
  const { head, operation } = judged;
  if (isPlain(judged)) return 0;
  return bodyProblem(head, mostOf(operation)) === null ? head.bodyLength : 0;
}

/** What a gate has that decisions need. */
export interface PolicyGate {
  readonly policy: Policy | null;
  readonly metrics: Metrics;
  readonly limitedLog: LimitedLog;
}

/** Counts and logs what would be refused. */
export function noteObserved(
  { code, detail: reason }: Pick<Forbidden, 'code' | 'detail'>,
  { metrics, limitedLog }: PolicyGate,
  fields: { readonly identity: string; readonly address: string; readonly operation: string | null },
): void {
  metrics.wouldRefuse++;
  limitedLog.say('warn', `observe ${code}`, { ...fields, code, reason }, 'observed: would be refused');
}

/** How a body that was read is answered, or sent on. */
export interface BodyAnswers {
  readonly refuse: (why: Forbidden) => Answer;
  readonly send: (body: Buffer) => Extract<BodyVerdict, { readonly kind: 'send' }>;
}

/**
 * Reads the body of a request that was judged, where its judgement wants that: `refuse` and `send` make what is answered or
 * sent on. Null where the body is no matter.
 */
export function inspectorFor(
  { judgement, operation, head }: Judged,
  gate: PolicyGate,
  { identity, address }: Asker,
  answers: BodyAnswers,
): BodyInspector | null {
  if (judgement === null || judgement.policy === null || !judgement.readBody) return null;
  if (head.bodyLength === 0 || bodyProblem(head) !== null) return null;
  const { observed: lenient } = judgement;
  return (body) => {
    const said = decideBody(body);
    if (said.kind === 'send') return answers.send(lenient ? body : said.body);
    const why = { status: said.status, code: 'CG_REQUEST_BODY', detail: said.detail } as const;
    if (lenient) {
      noteObserved(why, gate, { identity, address, operation: operation?.name ?? null });
      return answers.send(body);
    }
    gate.metrics.forbidden++;
    return answers.refuse(why);
  };
}
