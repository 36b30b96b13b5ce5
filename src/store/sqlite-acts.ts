// The acts of the CA and of its operators, each with the SHA-256 of the one before, so that one that was changed or taken out
// shows. They are added in the transaction of what they tell of, so that two processes cannot name the same one. What is
// hashed is an act's seven columns as text (UTF-8, `prev` empty where it is null), each as a netstring: `length:octets,`.

import { hash } from 'node:crypto';
import type { DatabaseSync, StatementSync } from 'node:sqlite';
import type { AuditEntry, StoredAuditEntry } from './audit-entry.ts';
import { numberOf, type Row, textOf } from './sqlite-rows.ts';

/** What the first act names. */
const NO_ACT = '0'.repeat(64);

const COLUMNS = ['id', 'time', 'actor', 'action', 'object', 'detail', 'prev'] as const;

export const ACT_COLUMNS = COLUMNS.join(', ');

/** The hash of an act, by its row with ACT_COLUMNS, hex. */
export function actHash(row: Row): string {
  let parts = '';
  for (const column of COLUMNS) {
    const text = String(row[column] ?? '');
    parts += `${Buffer.byteLength(text)}:${text},`;
  }
  return hash('sha256', parts, 'hex');
}

export interface ActAdder {
  /** Adds an act; to be called in the transaction of what it tells of. */
  readonly add: (entry: AuditEntry) => void;
  /** To be called when a transaction begins, and when anything in one was undone: the last act may be another one now. */
  readonly forget: () => void;
}

/** Adds acts to an open database. */
export function actAdder(db: DatabaseSync): ActAdder {
  let statements: { readonly last: StatementSync; readonly insert: StatementSync } | null = null;
  /** Of this transaction, as it was written. */
  let last: Row | undefined;
  const add = ({ time, actor, action, object, detail: about }: AuditEntry): void => {
    statements ??= {
      last: db.prepare(`SELECT ${ACT_COLUMNS} FROM audit ORDER BY id DESC LIMIT 1`),
      insert: db.prepare('INSERT INTO audit (time, actor, action, object, detail, prev) VALUES (?, ?, ?, ?, ?, ?)'),
    };
    last ??= statements.last.get();
    const prev = last === undefined ? NO_ACT : actHash(last);
    const detail = JSON.stringify(about);
    const { lastInsertRowid: id } = statements.insert.run(time, actor, action, object, detail, prev);
    last = { id, time, actor, action, object, detail, prev };
  };
  return {
    add,
    forget: () => {
      last = undefined;
    },
  };
}

export function auditEntryOf(row: Row): StoredAuditEntry {
  return {
    id: numberOf(row, 'id'),
    time: numberOf(row, 'time'),
    actor: textOf(row, 'actor'),
    action: textOf(row, 'action'),
    object: textOf(row, 'object'),
    detail: JSON.parse(textOf(row, 'detail')) as StoredAuditEntry['detail'],
    prev: row['prev'] === null ? null : textOf(row, 'prev'),
    hash: actHash(row),
  };
}
