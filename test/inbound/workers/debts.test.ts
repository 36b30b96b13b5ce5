import { expect, test } from 'vitest';
import { Debts } from '../../../src/inbound/workers/debts.ts';

test('who has not answered after as many looks as there are for it is to be ended, once, and told for what', () => {
  const debts = new Debts<string>();
  debts.owe('one', 'records', 2);
  debts.owe('two', 'life', 3);
  expect([...debts.look()]).toEqual([]);
  expect([...debts.look()]).toEqual([['one', 'records']]);
  expect([...debts.look()]).toEqual([['two', 'life']]);
  expect([...debts.look()]).toEqual([]);
});

test('what was answered, and what one owed that is gone, is looked at no more; the rest is', () => {
  const debts = new Debts<string>();
  const answered = debts.owe('one', 'records', 1);
  debts.owe('one', 'life', 1);
  debts.owe('gone', 'records', 1);
  debts.paid('one', answered);
  debts.forget('gone');
  debts.paid('gone', answered);
  expect([debts.owes('one', 'records'), debts.owes('one', 'life'), debts.owes('gone', 'records')]).toEqual([
    false,
    true,
    false,
  ]);
  expect([...debts.look()]).toEqual([['one', 'life']]);
});

test('who owes something since more than one look is late until it is paid', () => {
  const debts = new Debts<string>();
  const early = debts.owe('one', 'life', 30);
  const late = (): boolean[] => ['one', 'two'].map((debtor) => debts.isLate(debtor));
  expect(late()).toEqual([false, false]);
  debts.look();
  debts.owe('one', 'records', 5);
  expect(late()).toEqual([false, false]);
  debts.look();
  expect(late()).toEqual([true, false]);
  debts.paid('one', early);
  expect(late()).toEqual([false, false]);
});
