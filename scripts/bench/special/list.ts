// Listing a million certificates: the first page and the next of every filter that `certgate list` has, as the store answers
// them, the command as a whole, and what a certificate takes of the disk. No index is helped: a third is revoked, half has
// expired, and the newest are the revoked ones, so that a page of valid ones has to go past all of those.

import { execFile } from 'node:child_process';
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { storeFile } from '../../../src/authority/layout.ts';
import { openSqliteStore } from '../../../src/store/sqlite.ts';
import type { CertificateFilter } from '../../../src/store/store.ts';
import { mainOf } from '../build.ts';
import { makeCertificates } from '../certificates.ts';
import { say } from '../processes.ts';
import { OURS } from '../rows.ts';
import { quantileOf } from '../statistics.ts';
import { fillStore, MILLION } from './million.ts';
import type { SpecialWork } from './stage.ts';

const DAY_MS = 86_400_000;
/** Of the DER of a client's certificate here. */
const DER_BYTES = 620;
const TRIES = 7;

const filtersAt = (now: number): Readonly<Record<string, Omit<CertificateFilter, 'now'>>> => ({
  everything: {},
  valid: { state: 'valid' },
  expired: { state: 'expired' },
  revoked: { state: 'revoked' },
  'one identity': { identity: 'worker/etl-77' },
  'one identity, valid': { identity: 'worker/etl-77', state: 'valid' },
  'names, all': { identityStart: 'worker/' },
  'names, half': { identityStart: 'worker/etl-1' },
  'names, half, valid': { identityStart: 'worker/etl-1', state: 'valid' },
  'names, few': { identityStart: 'worker/etl-199' },
  'names, none': { identityStart: 'user/' },
  'ends within a day': { state: 'valid', expiresBefore: now + DAY_MS },
  'ends within a week': { state: 'valid', expiresBefore: now + 7 * DAY_MS },
});

export const list: SpecialWork = {
  name: 'list',
  title: `a page of 100 of ${MILLION.toLocaleString('en')} certificates`,
  async run(stage) {
    const now = Date.now();
    const { authorityDir } = await makeCertificates(join(stage.ground.dir, 'list'));
    const file = storeFile(join(authorityDir, 'state'));
    say('list: writing a million certificates');
    const empty = statSync(file).size;
    fillStore(file, { issuer: 'aa11', derBytes: DER_BYTES, revoked: 300_000, days: 60, lasts: 30, now });
    const bytes = (statSync(file).size - empty) / MILLION;
    const store = openSqliteStore(file, { readOnly: true });
    const firsts: { name: string; ms: number }[] = [];
    const nexts: number[] = [];
    try {
      for (const [name, filter] of Object.entries(filtersAt(now))) {
        const [first, next]: [number[], number[]] = [[], []];
        for (let i = 0; i < TRIES; i++) {
          const began = performance.now();
          const page = await store.listCertificates({ ...filter, now, limit: 100 });
          first.push(performance.now() - began);
          const after = page.at(-1);
          if (after === undefined) continue;
          const again = performance.now();
          await store.listCertificates({ ...filter, now, limit: 100, after });
          next.push(performance.now() - again);
        }
        firsts.push({ name, ms: quantileOf(first, 0.5) });
        if (next.length > 0) nexts.push(quantileOf(next, 0.5));
        say(`list ${name}: first page ${quantileOf(first, 0.5).toFixed(1)} ms`);
      }
    } finally {
      await store.close();
    }
    const command: number[] = [];
    for (let i = 0; i < stage.options.rounds; i++) {
      const began = performance.now();
      await promisify(execFile)(process.execPath, [mainOf(stage.options.form), 'list', '--limit', '100'], {
        cwd: authorityDir,
      });
      command.push(performance.now() - began);
    }
    const row = (name: string, unit: string, values: readonly number[]) => {
      return { name, unit, figures: [{ contestant: OURS, values }] };
    };
    const all = firsts.map(({ ms }) => ms);
    return {
      rows: [
        row('list first page', 'ms', [quantileOf(all, 0.5)]),
        row('list first page, worst filter', 'ms', [Math.max(...all)]),
        row('list next page, worst filter', 'ms', [Math.max(...nexts)]),
        row('list whole command', 'ms', command),
        row('list store size', 'bytes/certificate', [bytes]),
      ],
      notes: [
        firsts.map(({ name, ms }) => `${name} ${ms.toFixed(1)}`).join(', '),
        `median of ${TRIES} of each filter; with the audit entry of its issue and a DER of ${DER_BYTES} octets a certificate takes ${bytes.toFixed(0)} bytes`,
      ],
    };
  },
};
