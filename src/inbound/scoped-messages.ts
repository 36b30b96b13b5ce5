// Which WebSockets have their messages read, and what is looked for in them: of the worker channel its hello, which could make
// a pool or fill one's job template; within a scope each event that a client sends, and each event and log that one who listens
// would be sent: what is not within goes no further, whatever the filter was. So do events that hold what one who listens may
// not see (policy/untold.ts). The policy is asked at each message, so that another one holds at the next.

import { memberTexts } from '../policy/json-members.ts';
import type { Operation } from '../policy/operation.ts';
import { type Grants, reachesToo } from '../policy/policy.ts';
import type { Scope } from '../policy/scope.ts';
import { eventNeeds, heardEvent, heardLog } from '../policy/scope-events.ts';
import type { Need, Ref } from '../policy/scope-refs.ts';
import { isRecord, parseStrictJson } from '../policy/strict-json.ts';
import { tells, untold } from '../policy/untold.ts';
import type { MessageJudge, MessageVerdict } from './messages.ts';

const CHANNEL = 'worker_channel_connect';
const EVENTS_IN = 'stream_events_in';
const MAKES_POOLS = { needs: ['write_work_pools'] } as const;
const LISTENING = new Set(['stream_workspace_events_out', 'stream_logs_out']);

/** Whether the messages on this WebSocket are read; `scope` is what holds for it. */
export function messagesMatter(operation: Operation | null, grants: Grants, scope: Scope | null): boolean {
  if (operation === null || !operation.cls.startsWith('ws-')) return false;
  if (operation.name === CHANNEL) return !reachesToo(grants, MAKES_POOLS, scope);
  if (untold(operation, grants, scope) !== null) return true;
  return scope !== null && (operation.name === EVENTS_IN || LISTENING.has(operation.name));
}

/** What the gate does with what is found in a message. */
export interface MessageRules {
  /** Holds `needs` against the scope as it is now: null to pass, or why it may not. */
  readonly within: (needs: readonly Need[]) => Promise<MessageVerdict>;
  /** The scope as it is now; null for none. */
  readonly scope: () => Scope | null;
  /** `why` completes "it …". */
  readonly beyond: (why: string) => Promise<MessageVerdict>;
  /** Whether nothing is changed, only counted. */
  readonly observed: () => boolean;
}

/** Looks at what a client sends to `operation`, one that `messagesMatter` names and nobody `listens` to. */
export function judgeMessages(operation: Operation, rules: MessageRules): MessageJudge {
  let first = true;
  const { within, beyond } = rules;
  return (text) => {
    const read = parseStrictJson(text);
    const message = read.ok ? read.value : null;
    const begins = first;
    first = false;
    if (begins && isAuth(message)) return { verdict: PASS };
    if (!read.ok) return { verdict: beyond(`sends a message that ${read.problem}`) };
    if (operation.name === CHANNEL) return { verdict: hello(message, rules), done: true };
    const needs = eventNeeds(message, rules.scope());
    return { verdict: typeof needs === 'string' ? beyond(needs) : within(needs) };
  };
}

/** Whether it is what the server sends there that is read. */
export function listens(operation: Operation): boolean {
  return LISTENING.has(operation.name);
}

/** What who `listens` may be sent, as it is now. */
export interface Heard {
  /** Whether any of these is within the scope. */
  readonly some: (refs: readonly Ref[]) => Promise<MessageVerdict>;
  /** Whether there is a scope. */
  readonly scoped: () => boolean;
  /** How the names of events begin that it is not told of; empty for none. */
  readonly untold: () => readonly string[];
}

/** Looks at the messages that the server sends to who `listens`. */
export function judgeHeard(heard: Heard): MessageJudge {
  const { some, scoped } = heard;
  return (text) => {
    if (tells(text, heard.untold())) return { verdict: DROP };
    if (!scoped()) return { verdict: PASS };
    const refs = heardIn(text);
    if (refs !== null) return { verdict: some(refs) };
    const whole = parseStrictJson(text);
    // What can't be read could be anybody's.
    if (!whole.ok || !isRecord(whole.value)) return { verdict: DROP };
    return { verdict: isAnswerToAuth(whole.value) ? PASS : DROP };
  };
}

/**
 * What an event or a log is about; null for another message. All who listen hear of each event, and its payload, which is its
 * sender's, may have a megabyte: only what is looked at is read.
 */
function heardIn(text: string): readonly Ref[] | null {
  try {
    const message = memberTexts(text, MESSAGE);
    const type: unknown = JSON.parse(message?.get('type') ?? 'null');
    if (type === 'event') return heardEvent(membersIn(message?.get('event'), EVENT));
    return type === 'log' ? heardLog(membersIn(message?.get('log'), LOG)) : null;
  } catch {
    return null;
  }
}

/** Those members of `text`, each of which has to have one reading. */
function membersIn(text: string | undefined, names: ReadonlySet<string>): unknown {
  const members = text === undefined ? null : memberTexts(text, names);
  if (members === null) return null;
  return Object.fromEntries(
    Array.from(members, ([name, value]) => {
      const said = parseStrictJson(value);
      if (!said.ok) throw new SyntaxError(said.problem);
      return [name, said.value];
    }),
  );
}

const MESSAGE = new Set(['type', 'event', 'log']);
const EVENT = new Set(['resource', 'related']);
const LOG = new Set(['flow_run_id', 'task_run_id']);

function isAnswerToAuth(message: Readonly<Record<string, unknown>>): boolean {
  return Object.keys(message).every((name) => name === 'type');
}

const PASS: MessageVerdict = { kind: 'pass' };
const DROP: MessageVerdict = { kind: 'drop' };

/** Prefect's first message; anything more in it could be taken for an event by a server that expects none. */
function isAuth(message: unknown): boolean {
  if (!isRecord(message) || message['type'] !== 'auth') return false;
  return Object.keys(message).every((name) => name === 'type' || name === 'token');
}

function hello(message: unknown, { beyond, observed }: MessageRules): MessageVerdict | Promise<MessageVerdict> {
  const payload = isRecord(message) ? message['payload'] : null;
  if (!isRecord(message) || !isRecord(payload)) return beyond('sends no hello');
  const makes = (payload['create_pool_if_not_found'] ?? false) !== false;
  const template = payload['default_base_job_template'] ?? null;
  const fills = !isRecord(template) || Object.keys(template).length > 0;
  if (observed() || !(makes || (fills && template !== null))) return PASS;
  const changed = { ...payload, create_pool_if_not_found: false, default_base_job_template: {} };
  return { kind: 'replace', text: JSON.stringify({ ...message, payload: changed }) };
}
