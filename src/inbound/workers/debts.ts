// What workers were sent and have not answered, counted in looks: the primary looks once a second, and where the whole
// machine stood still it does not look either, so that nobody is thought dead who could not have answered. Pure.

export interface Debt {
  readonly what: string;
  /** Looks after which who owes it is ended. */
  readonly most: number;
  looks: number;
}

export class Debts<Debtor> {
  private readonly owed = new Map<Debtor, Set<Debt>>();

  /** From now on `debtor` owes an answer. */
  owe(debtor: Debtor, what: string, most: number): Debt {
    const debt: Debt = { what, most, looks: 0 };
    const debts = this.owed.get(debtor) ?? new Set();
    this.owed.set(debtor, debts.add(debt));
    return debt;
  }

  paid(debtor: Debtor, debt: Debt): void {
    this.owed.get(debtor)?.delete(debt);
  }

  owes(debtor: Debtor, what: string): boolean {
    return this.some(debtor, (debt) => debt.what === what);
  }

  /** Whether it owes something since more than one look: others should have what comes next. */
  isLate(debtor: Debtor): boolean {
    return this.some(debtor, ({ looks }) => looks > 1);
  }

  /** It is gone. */
  forget(debtor: Debtor): void {
    this.owed.delete(debtor);
  }

  /** One more look; answers who is to be ended, and for what, once for each debt. */
  look(): ReadonlyMap<Debtor, string> {
    const due = new Map<Debtor, string>();
    for (const [debtor, debts] of this.owed) {
      for (const debt of debts) if (++debt.looks === debt.most) due.set(debtor, debt.what);
    }
    return due;
  }

  private some(debtor: Debtor, is: (debt: Debt) => boolean): boolean {
    for (const debt of this.owed.get(debtor) ?? []) if (is(debt)) return true;
    return false;
  }
}
