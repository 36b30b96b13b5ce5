// The two kinds of promise that most of Prefect's commands make: to show a thing, or that something holds of it afterwards.

import type { Attempt, Case } from './attempt.ts';

export const gone = async (it: Attempt, path: string): Promise<boolean> => (await it.server.get(path)) === null;
/** What the server says of something. */
export const field = async (it: Attempt, path: string, name: string): Promise<unknown> =>
  (await it.server.get(path))?.[name];

/** Where nothing has to be there before. */
export const nothing = async (): Promise<null> => null;

/** A command that is given the thing, and shows `shown` of it. */
export function shows<T>(
  command: string,
  thing: (it: Attempt) => Promise<T>,
  args: (made: T, it: Attempt) => readonly string[],
  shown: (made: T, it: Attempt) => string,
): Case {
  return does(command, thing, args, async (made, it) => it.said().includes(shown(made, it)));
}

/** A command that is given the thing, after which `then` holds. */
export function does<T>(
  command: string,
  thing: (it: Attempt) => Promise<T>,
  args: (made: T, it: Attempt) => readonly string[],
  then: (made: T, it: Attempt) => Promise<boolean>,
): Case {
  return [
    command,
    async (it) => {
      const made = await thing(it);
      await it.prefect(...command.split(' '), ...args(made, it));
      return await then(made, it);
    },
  ];
}
