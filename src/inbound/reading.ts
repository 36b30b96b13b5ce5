// What a request's head means, as far as it is the same whenever a connection repeats it: its path, which of Prefect's
// operations it is, whether a browser may have been tricked into it, how its lines in the logs begin, and the head that goes on
// to Prefect. Clients ask the same few things again and again, so that what was made of one is kept while it is in use.

import { isEstPath } from '../enroll/est.ts';
import { BUNDLE_PATH, RENEW_PATH } from '../enroll/wire.ts';
import type { RequestHead } from '../http1/request-head.ts';
import { accessClient, accessSubject } from '../observe/log.ts';
import { findOperation, WEBSOCKET, writes } from '../policy/operation.ts';
import { canonicalPath } from '../policy/paths.ts';
import type { AnswerChange, HeadBytes } from '../proxy/contract.ts';
import type { Admitted } from './admission.ts';
import { crossSite } from './browser.ts';
import type { Permitted } from './decision-record.ts';
import { HIDES } from './hidden.ts';
import type { Judged } from './permission.ts';
import {
  clientProto,
  type HeadPlace,
  keptLines,
  openHeadPlace,
  ROOM,
  startOfHead,
  targetBelow,
  writeHeadInto,
} from './request-head.ts';
import { newRequestId } from './request-id.ts';
import { rewriteUiSettings } from './ui-settings.ts';

/** What a request head of this connection means: the same for every request that repeats it. */
export interface Reading extends Judged {
  /** Empty where the target can't be accepted. */
  readonly path: string;
  /** It is asked of the gate itself. */
  readonly own: 'bundle' | 'renew' | 'est' | null;
  readonly changes: boolean;
  /** Prefect takes such a Host for a request from inside its own process (prefect-facts.md §2.1 (6)). */
  readonly reserved: boolean;
  /** Why it comes from another site's page and may not. */
  readonly foreign: string | null;
  /** For its access lines. */
  readonly subject: string;
  permitted: Permitted | null;
  readonly changeAnswer: AnswerChange | null;
}

/** What the header lines of a head mean: the same for every head that shares its `names`. */
interface Lines {
  readonly names: readonly string[];
  /** Where heads with these lines are written for upstream. */
  place: HeadPlace;
  readonly reserved: boolean;
  /** Why it comes from another site's page and may not: what changes something, and what only reads. */
  readonly foreign: string | null;
  readonly foreignRead: string | null;
}

/** A longer head is read anew each time. Bytes. */
const LONGEST_KEPT = 4_096;
/** Requests of a connection whose readings are kept, and bytes of their heads; when there are more, all are forgotten. */
const MOST_KEPT = 16;
const MOST_KEPT_BYTES = 16_384;

export interface Readings {
  of(head: RequestHead): Reading;
  /** The head that goes on, good until the next call unless it is held. */
  headFor(reading: Reading, requestId: string): HeadBytes;
  /** Forgets what is kept only for speed. */
  rest(): void;
}

/** The readings of one client's connection. `authorization` takes the place of the client's own; null leaves that as it is. */
export function openReadings(
  client: Admitted,
  address: string,
  { authorization, apiPath }: { readonly authorization: string | null; readonly apiPath: string },
): Readings {
  const whose = accessClient(client.identity, client.serial, address);
  /** By their request lines. */
  const kept = new Map<string, Reading>();
  let keptBytes = 0;
  const forget = (): void => {
    kept.clear();
    keptBytes = 0;
  };
  /** As many as the reader of heads knows: of requests with a body, and of those without. */
  let lastLines: Lines | null = null;
  let otherLines: Lines | null = null;

  const stampOf = (head: RequestHead, plainAnswer: boolean, plainMessages = false) => ({
    client: client.lines,
    address,
    proto: clientProto(head),
    plainAnswer,
    plainMessages,
    authorization,
  });

  const linesOf = (head: RequestHead): Lines => {
    if (lastLines?.names === head.names) return lastLines;
    const known = otherLines?.names === head.names ? otherLines : null;
    otherLines = lastLines;
    lastLines = known ?? {
      names: head.names,
      place: openHeadPlace(keptLines(head, stampOf(head, false)), newRequestId()),
      reserved: head.host.toLowerCase().includes('ephemeral-prefect'),
      foreign: crossSite(head, true),
      foreignRead: crossSite(head, false),
    };
    return lastLines;
  };

  const read = (head: RequestHead): Reading => {
    const target = canonicalPath(head.target);
    const path = target.ok ? target.path : '';
    const upgrade = head.upgrade === 'websocket';
    const operation = target.ok ? findOperation(upgrade ? WEBSOCKET : head.method, path) : null;
    const name = operation?.name ?? null;
    const changes = writes(operation, head.method);
    const lines = linesOf(head);
    return {
      head,
      target,
      path,
      own: path === BUNDLE_PATH ? 'bundle' : path === RENEW_PATH ? 'renew' : isEstPath(path) ? 'est' : null,
      operation,
      changes,
      reserved: lines.reserved,
      foreign: changes || upgrade ? lines.foreign : lines.foreignRead,
      subject: accessSubject(whose, head.method, path, name),
      start: target.ok ? startOfHead(head, targetBelow(apiPath, target.target)) : '',
      apiPath,
      judgement: null,
      permitted: null,
      changeAnswer:
        name === 'ui_settings'
          ? rewriteUiSettings(clientProto(head), head.host, { holdsPassword: authorization !== null, apiPath })
          : null,
    };
  };

  return {
    of(head) {
      const known = kept.get(head.line);
      if (known?.head === head) return known;
      // Heads that share their names share all that their lines say, but for the length of the body.
      const reading = known?.head.names === head.names ? withHead(known, head) : read(head);
      if (head.size > LONGEST_KEPT) return reading;
      if (kept.size >= MOST_KEPT || keptBytes > MOST_KEPT_BYTES) forget();
      keptBytes += head.size - (kept.get(head.line)?.head.size ?? 0);
      kept.set(head.line, reading);
      return reading;
    },
    headFor(reading, requestId) {
      const { head, start } = reading;
      const plainAnswer = answerChangeOf(reading) !== null;
      const plainMessages = reading.judgement?.readMessages === true;
      if (plainAnswer || plainMessages) {
        const lines = keptLines(head, stampOf(head, plainAnswer, plainMessages));
        return writeHeadInto(openHeadPlace(lines, requestId), start, requestId);
      }
      const lines = linesOf(head);
      const place = writeHeadInto(lines.place, start, requestId);
      if (start.length <= ROOM) lines.place = place;
      return place;
    },
    rest() {
      forget();
      lastLines = null;
      otherLines = null;
    },
  };
}

/** What changes the answer; null for nothing. */
export function answerChangeOf({ changeAnswer, judgement }: Reading): AnswerChange | null {
  const hides = judgement?.hides ?? null;
  return changeAnswer ?? (hides === null ? null : HIDES[hides]);
}

/** The same with a body of `length` bytes. */
export function withBody(reading: Reading, length: number): Reading {
  const { head } = reading;
  return length === head.bodyLength ? reading : { ...withHead(reading, { ...head, bodyLength: length }), head };
}

/** The same for a head that differs in the length of its body alone. */
function withHead(reading: Reading, head: RequestHead): Reading {
  const { target, judgement, apiPath } = reading;
  if (!target.ok) return { ...reading, head };
  const sent = targetBelow(apiPath, judgement?.target ?? target.target);
  return { ...reading, head, start: startOfHead(head, sent) + (judgement?.stamp ?? '') };
}
