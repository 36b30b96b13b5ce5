import { appendFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { isCertgateError } from '../../src/errors.ts';
import { auditRecord, idsIn, newFolder, readAll } from './records.ts';

let folder: string;
let path: string;

beforeEach(() => {
  folder = newFolder();
  path = join(folder, 'audit.jsonl');
});

afterEach(() => rmSync(folder, { recursive: true }));

function write(...lines: readonly (string | object)[]): void {
  const texts = lines.map((line) => (typeof line === 'string' ? line : JSON.stringify(line)));
  appendFileSync(path, `${texts.join('\n')}\n`);
}

describe('the record, read back,', () => {
  test('gives the records in the order written, with their lines', async () => {
    write(auditRecord({ requestId: 'a' }), '', auditRecord({ requestId: 'b', path: '/api/flows/name/é' }));
    expect(await readAll(path)).toEqual([
      { kind: 'record', line: 1, record: auditRecord({ requestId: 'a' }) },
      { kind: 'record', line: 3, record: auditRecord({ requestId: 'b', path: '/api/flows/name/é' }) },
    ]);
  });

  test('reports a last line that was never finished, and what is no record, and reads on', async () => {
    write(
      auditRecord({ requestId: 'a' }),
      '{"time":1',
      'null',
      '[]',
      '{}',
      '{"time":"soon"}',
      auditRecord({ requestId: 'b' }),
    );
    write(
      { ...auditRecord(), decision: 'maybe' },
      { ...auditRecord(), path: null },
      { ...auditRecord(), status: '200' },
    );
    appendFileSync(path, JSON.stringify(auditRecord({ requestId: 'torn' })));
    const items = await readAll(path);
    expect(
      items.map((item) =>
        item.kind === 'record'
          ? item.record.requestId
          : item.kind !== 'broken'
            ? item.kind
            : `${item.line} ${item.problem}`,
      ),
    ).toEqual([
      'a',
      '2 is not a record',
      '3 is not a record',
      '4 is not a record',
      '5 is not a record',
      '6 is not a record',
      'b',
      '8 is not a record',
      '9 is not a record',
      '10 is not a record',
      '11 was never finished',
    ]);
  });

  test('shows of a broken line its start only, in printable ASCII', async () => {
    write(`\u001b[2J\u202e${'x'.repeat(5000)}`);
    const [item] = await readAll(path);
    expect(item?.kind === 'broken' && item.text).toMatch(/^"\\u001b\[2J\\u202ex{100,116}"$/);
  });

  test('does not hold a line longer than any record', async () => {
    write('x'.repeat(3_000_000), auditRecord({ requestId: 'b' }), 'y'.repeat(300_000));
    const items = await readAll(path);
    expect(
      items.map((item) =>
        item.kind === 'record' ? item.record.requestId : item.kind === 'broken' ? item.problem : item.kind,
      ),
    ).toEqual(['is too long', 'b', 'is too long']);
  });

  test('keeps what satisfies every part of a filter', async () => {
    write(
      auditRecord({ requestId: 'a', time: 100 }),
      auditRecord({ requestId: 'b', time: 200, identity: 'user/alice', method: 'DELETE', operation: 'delete_flow' }),
      auditRecord({ requestId: 'c', time: 300, decision: 'refuse', identity: null }),
    );
    const kept = async (filter: Parameters<typeof readAll>[1]): Promise<string[]> =>
      (await readAll(path, filter)).flatMap((item) => (item.kind === 'record' ? [item.record.requestId] : []));
    expect(await kept({ since: 200 })).toEqual(['b', 'c']);
    expect(await kept({ until: 200 })).toEqual(['a']);
    expect(await kept({ identity: 'user/alice' })).toEqual(['b']);
    expect(await kept({ decision: 'refuse' })).toEqual(['c']);
    expect(await kept({ method: 'POST', since: 150 })).toEqual(['c']);
    expect(await kept({ operation: 'delete_flow', identity: 'worker/etl-1' })).toEqual([]);
  });

  test('reads records that stand across the pieces in which the file is read', async () => {
    const ids = Array.from({ length: 5000 }, (_, i) => `r-${i}`);
    write(...ids.map((requestId, i) => auditRecord({ requestId, path: `/${'é'.repeat(i % 97)}` })));
    expect(await idsIn(path)).toEqual(ids);
  });

  test('has nothing to say of an empty file, and refuses a missing one with CG_AUDIT_UNREADABLE', async () => {
    writeFileSync(path, '');
    expect(await readAll(path)).toEqual([]);
    const error = await readAll(join(folder, 'missing')).catch((reason: unknown) => reason);
    expect(isCertgateError(error, 'CG_AUDIT_UNREADABLE')).toBe(true);
  });
});
