// What certgate is to reach, as data: the project's aims for its data path. A run prints each aim that it has measured with
// the median reached; none of them decides the exit code, because a machine's noise would.

import type { Row } from './report.ts';
import { figureOf, OURS, ratiosOf } from './rows.ts';

export interface Aim {
  readonly row: string;
  /** The contestant whose figure ours is divided by; null: the figure itself. */
  readonly against: string | null;
  readonly reach: number;
  /** Bytes and such are better when lower; an aim that is a gain is not. */
  readonly atLeast?: true;
}

const cheaper = (row: string, against: string, reach: number): Aim => ({ row, against, reach });

export const aims: readonly Aim[] = [
  ...['small', 'small, logs off'].flatMap((row) => [cheaper(row, 'nginx', 1), cheaper(row, 'ghostunnel', 1)]),
  ...['post', 'post, logs off'].flatMap((row) => [cheaper(row, 'nginx', 1.1), cheaper(row, 'ghostunnel', 1)]),
  ...['answer-16k', 'answer-16k, logs off'].flatMap((row) => [cheaper(row, 'nginx', 1), cheaper(row, 'ghostunnel', 1)]),
  ...['answer-1m', 'answer-1m, logs off'].flatMap((row) => [cheaper(row, 'nginx', 1), cheaper(row, 'ghostunnel', 1)]),
  ...['handshake', 'handshake, logs off'].flatMap((row) => [
    cheaper(row, 'nginx', 0.75),
    cheaper(row, 'nginx-tickets', 0.75),
    cheaper(row, 'ghostunnel', 1),
  ]),
  ...['latency', 'latency, logs off'].flatMap((row) => [cheaper(row, 'nginx', 1.15), cheaper(row, 'nginx', 1)]),
  ...['websocket', 'websocket-flood'].flatMap((row) => [cheaper(row, 'haproxy', 1), cheaper(row, 'ghostunnel', 1)]),
  cheaper('defaults', 'nginx', 1.25),
  cheaper('defaults', 'nginx', 1),
  { row: 'memory idle', against: null, reach: 60 },
  { row: 'memory per connection', against: null, reach: 40 },
  cheaper('memory per connection', 'haproxy', 1),
  { row: 'start', against: null, reach: 300 },
  { row: 'start', against: null, reach: 150 },
  { row: 'workers', against: null, reach: 1.8, atLeast: true },
  { row: 'flow', against: null, reach: 1.02 },
  // "revoke to the last byte with 10,000 live connections": to whom it was taken back, no byte of data goes any more. When the
  // last of 10,000 idle connections of one certificate has ended is held against the same number, though nothing goes over them.
  ...['revoke one of many, last octet p99', 'revoke of all, last octet p99'].flatMap((row) => [
    { row, against: null, reach: 100 },
    { row, against: null, reach: 20 },
  ]),
  { row: 'revoke one of many, end p99', against: null, reach: 100 },
  { row: 'revoke of all, end p99', against: null, reach: 100 },
  { row: 'crl rebuilt', against: null, reach: 1000 },
  { row: 'crl first octet p50', against: null, reach: 1 },
  { row: 'decision p99', against: null, reach: 5 },
  cheaper('cost small', 'bare', 1.1),
  cheaper('cost post', 'bare', 1.1),
  cheaper('cost write', 'bare', 1.25),
  cheaper('cost write, 10 ms', 'bare', 1.25),
  { row: 'list first page, worst filter', against: null, reach: 50 },
  cheaper('revoked handshake', 'none revoked', 1.05),
  cheaper('enrol', 'step-ca', 0.5),
  cheaper('enrol', 'cfssl', 1),
  { row: 'first-request', against: null, reach: 1000 },
];

export interface Verdict extends Aim {
  readonly median: number;
  readonly reached: boolean;
}

/** The aims that these rows can say something about. */
export function judge(rows: readonly Row[]): Verdict[] {
  return aims.flatMap((aim): Verdict[] => {
    const row = rows.find((one) => one.name === aim.row);
    const spread = row === undefined ? null : aim.against === null ? figureOf(row, OURS) : ratiosOf(row)[aim.against];
    if (spread === null || spread === undefined) return [];
    const reached = aim.atLeast === true ? spread.median >= aim.reach : spread.median <= aim.reach;
    return [{ ...aim, median: spread.median, reached }];
  });
}
