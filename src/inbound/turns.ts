// Who may do something now, of which only so much is done at a time. Of those who wait each has his turn, one after another,
// however much one of them has to do: who has a thousand things waits for them, and not everybody else. Pure.

export interface Turns {
  /** Resolves when `whose` next turn has come. */
  take(whose: string): Promise<void>;
  /** The end of a turn that was taken. */
  give(): void;
}

/** `most` turns at a time. */
export function takeTurns(most: number): Turns {
  /** What each waits for, the oldest first; whose turn is next is first. */
  const waiting = new Map<string, Set<() => void>>();
  let taken = 0;
  return {
    take(whose) {
      if (taken < most) {
        taken++;
        return Promise.resolve();
      }
      return new Promise((resolve) => {
        const own = waiting.get(whose);
        if (own === undefined) waiting.set(whose, new Set([resolve]));
        else own.add(resolve);
      });
    },
    give() {
      for (const [whose, own] of waiting) {
        waiting.delete(whose);
        for (const next of own) {
          own.delete(next);
          if (own.size > 0) waiting.set(whose, own);
          next();
          return;
        }
      }
      taken--;
    },
  };
}
