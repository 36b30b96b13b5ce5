// The heads of one connection on their way to Prefect. Clients send the same header lines again and again: what they mean and
// how they are written is kept for the two sets of lines that came last, so that most heads are written where the last one
// stands. A connection that waits is told to forget them.

import type { RequestHead } from '../http1/request.ts';
import type { HeadBytes } from '../proxy/contract.ts';
import { crossSite } from './browser.ts';
import {
  clientProto,
  type HeadPlace,
  keptLines,
  openHeadPlace,
  ROOM,
  type Stamp,
  writeHeadInto,
} from './request-head.ts';
import { newRequestId } from './request-id.ts';

/** What the header lines of a head mean: the same for every head that shares its `names`. */
interface Lines {
  readonly names: readonly string[];
  /** Where heads with these lines are written for upstream. */
  place: HeadPlace;
  /** Why it comes from another site's page and may not: what changes something, and what only reads. */
  readonly foreign: string | null;
  readonly foreignRead: string | null;
}

/** What will be read here of a request's answer or of its WebSocket's messages, and so must come uncompressed. */
export interface PlainParts {
  readonly plainAnswer: boolean;
  readonly plainMessages: boolean;
}

export class ForwardHeads {
  private readonly whose: Pick<Stamp, 'client' | 'address' | 'authorization'>;
  /** As many as the reader of heads knows: of requests with a body, and of those without. */
  private last: Lines | null = null;
  private other: Lines | null = null;

  constructor(whose: Pick<Stamp, 'client' | 'address' | 'authorization'>) {
    this.whose = whose;
  }

  linesOf(head: RequestHead): Lines {
    if (this.last?.names === head.names) return this.last;
    const known = this.other?.names === head.names ? this.other : null;
    this.other = this.last;
    this.last = known ?? {
      names: head.names,
      place: openHeadPlace(this.kept(head, { plainAnswer: false, plainMessages: false }), newRequestId()),
      foreign: crossSite(head, true),
      foreignRead: crossSite(head, false),
    };
    return this.last;
  }

  /** `head` as Prefect gets it; it begins with `start`. */
  write(head: RequestHead, start: string, plain: PlainParts, requestId: string): HeadBytes {
    if (plain.plainAnswer || plain.plainMessages) {
      return writeHeadInto(openHeadPlace(this.kept(head, plain), requestId), start, requestId);
    }
    const lines = this.linesOf(head);
    const place = writeHeadInto(lines.place, start, requestId);
    // A connection that waits must not hold much.
    if (start.length <= ROOM) lines.place = place;
    return place;
  }

  forget(): void {
    this.last = null;
    this.other = null;
  }

  private kept(head: RequestHead, plain: PlainParts): string {
    return keptLines(head, { ...this.whose, ...plain, proto: clientProto(head) });
  }
}
