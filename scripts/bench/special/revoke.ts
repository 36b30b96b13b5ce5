// `certgate revoke` while 10,000 connections are live, by what its holder still gets and by when its connections end:
// one certificate of many, with one or a few connections in use among 10,000 of another that must not notice; and one that has
// all of them, 10,000 idle and 72 in use. The last octet of data is what somebody whose certificate was taken back can still
// receive. An end is the FIN or RST as the client's kernel has it (hold.py), or as its process is told (busy.ts).

import { once } from 'node:events';
import { certgateFrom, PATIENT } from '../contestants/certgate.ts';
import { OUTPUT_FILE } from '../contestants/contestant.ts';
import { launch } from '../field.ts';
import { descriptorLimit, reasonOf, say } from '../processes.ts';
import { OURS } from '../rows.ts';
import { quantileOf } from '../statistics.ts';
import type { BusyCounts, BusyEnd } from './busy.ts';
import { keepBusy } from './busy-connections.ts';
import { holdConnections } from './holder.ts';
import { issue, type Revoked, revoke } from './revoking.ts';
import type { SpecialWork, Stage } from './stage.ts';

/** Of the certificate that has all of them, besides the idle ones. */
const IN_USE: BusyCounts = { requests: 32, tunnels: 32, streams: 8 };
/** Of each of the certificates that are one of many. */
const FEW: readonly BusyCounts[] = [
  { requests: 3, tunnels: 3, streams: 2 },
  { requests: 1, tunnels: 0, streams: 0 },
  { requests: 3, tunnels: 3, streams: 2 },
  { requests: 0, tunnels: 1, streams: 0 },
  { requests: 3, tunnels: 3, streams: 2 },
  { requests: 0, tunnels: 0, streams: 1 },
];
const OTHER_DESCRIPTORS = 400;
const LIMIT_MS = 60_000;

interface Cut {
  /** ms after the commit, of each connection that was in use. */
  readonly lastOctets: readonly number[];
  /** … and of every connection. */
  readonly ends: readonly number[];
  readonly endsInUse: readonly number[];
  /** ms from the command's start to its first line, and to its end. */
  readonly committedMs: number;
  readonly commandMs: number;
}

async function within<T>(work: Promise<T>, command: Revoked): Promise<T> {
  const late = AbortSignal.timeout(LIMIT_MS);
  const failed = once(late, 'abort').then(() => {
    throw new Error(`connections were still open ${LIMIT_MS} ms after ${command.said}`);
  });
  return await Promise.race([work, failed]);
}

/** Revokes `identity`, of whose connections `busy` are in use and `idle` are not. */
async function cut(
  identity: string,
  busy: () => Promise<readonly BusyEnd[]>,
  idle: (() => Promise<readonly bigint[]>) | null,
  stage: Stage,
): Promise<Cut> {
  const all = Promise.all([busy(), idle === null ? [] : idle()]);
  all.catch(() => {});
  const command = await revoke(identity, stage);
  const [worked, held] = await within(all, command);
  const since = (ns: bigint): number => Number(ns - command.committed) / 1e6;
  const endsInUse = worked.map(({ end }) => since(BigInt(end)));
  const ends = [...held.map(since), ...endsInUse];
  // What ends before its certificate is taken back was cut on account of another's.
  const early = ends.filter((ms) => ms < -Number(command.committed - command.began) / 1e6).length;
  if (early > 0) throw new Error(`${early} connections had ended before their certificate was revoked`);
  return {
    // What came before the commit is nothing that a revoked holder got.
    lastOctets: worked.map(({ lastOctet }) => Math.max(0, since(BigInt(lastOctet)))),
    ends,
    endsInUse,
    committedMs: Number(command.committed - command.began) / 1e6,
    commandMs: Number(command.ended - command.began) / 1e6,
  };
}

/** One gate: first a few certificates of many, then the one that has all other connections. */
async function cutAll(round: number, stage: Stage): Promise<{ readonly few: readonly Cut[]; readonly whole: Cut }> {
  const identity = `worker/cut-${round}`;
  const files = await issue(identity, stage);
  const running = await launch(certgateFrom(stage.options.form, PATIENT), stage.ground);
  const { port } = running;
  const stops: (() => Promise<void>)[] = [() => running.stop()];
  try {
    const connections = Math.min(stage.options.connections, descriptorLimit() - OTHER_DESCRIPTORS);
    const holder = await holdConnections({ ...files, core: stage.cores.load, port, connections });
    stops.unshift(() => holder.stop());
    const few: Cut[] = [];
    for (const [turn, counts] of FEW.entries()) {
      const name = `worker/one-of-many-${round}-${turn}`;
      const busy = await keepBusy(port, await issue(name, stage), counts, stage);
      stops.unshift(() => busy.stop());
      few.push(await cut(name, () => busy.ends(), null, stage));
      await busy.stop();
    }
    const busy = await keepBusy(port, files, IN_USE, stage);
    stops.unshift(() => busy.stop());
    const whole = await cut(
      identity,
      () => busy.ends(),
      () => holder.ends(),
      stage,
    );
    return { few, whole };
  } catch (error) {
    throw new Error(`${reasonOf(error)}\n${running.lastWords()} (${OUTPUT_FILE})`, { cause: error });
  } finally {
    for (const stop of stops) await stop();
  }
}

export const revocation: SpecialWork = {
  name: 'revoke',
  title:
    'certgate revoke while 10,000 connections are live: the last octet of data that its holder reads, and the end of its connections',
  async run(stage) {
    const rounds: { few: readonly Cut[]; whole: Cut }[] = [];
    for (let round = 1; round <= stage.options.rounds; round++) {
      const { few, whole } = await cutAll(round, stage);
      rounds.push({ few, whole });
      const words = [few.flatMap((one) => one.lastOctets), whole.lastOctets, whole.ends].map(
        (values) => `${quantileOf(values, 0.99).toFixed(1)} ms`,
      );
      say(
        `revoke ${round}: p99 of the last octet, one of many ${words[0]}, of all ${words[1]}; of all ends ${words[2]}`,
      );
    }
    const row = (name: string, pick: (round: { few: readonly Cut[]; whole: Cut }) => number) => {
      return { name: `revoke ${name}`, unit: 'ms', figures: [{ contestant: OURS, values: rounds.map(pick) }] };
    };
    const quantiles = (name: string, pick: (round: { few: readonly Cut[]; whole: Cut }) => readonly number[]) =>
      ([0.5, 0.99] as const).map((part) => row(`${name} p${part * 100}`, (one) => quantileOf(pick(one), part)));
    return {
      rows: [
        ...quantiles('one of many, last octet', ({ few }) => few.flatMap((one) => one.lastOctets)),
        ...quantiles('one of many, end', ({ few }) => few.flatMap((one) => one.ends)),
        ...quantiles('of all, last octet', ({ whole }) => whole.lastOctets),
        ...quantiles('of all, end', ({ whole }) => whole.ends),
        row('of all, last end', ({ whole }) => quantileOf(whole.ends, 1)),
        row('of all, end in use p50', ({ whole }) => quantileOf(whole.endsInUse, 0.5)),
        row('start to committed', ({ whole }) => whole.committedMs),
        row('whole command, one of many', ({ few }) =>
          quantileOf(
            few.map((one) => one.commandMs),
            0.5,
          ),
        ),
        row('whole command, of all', ({ whole }) => whole.commandMs),
      ],
      notes: [
        `${rounds[0]?.whole.ends.length ?? 0} connections of the one that has all; ms after the commit, but for the last three`,
        'last octet: of connections in use; what a holder read before the commit counts as 0',
      ],
    };
  },
};
