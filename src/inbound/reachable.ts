// Whether something listens, found out by connecting to it: nothing is said, and the connection is ended at once.
import type { Socket } from 'node:net';

/** Whether the socket that `open` gives is connected within `timeout` ms. */
export function reachable(open: () => Socket, timeout: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = open();
    const answer = (yes: boolean): void => {
      resolve(yes);
      socket.destroy();
    };
    socket.setTimeout(timeout, () => answer(false));
    socket.once('connect', () => answer(true));
    socket.once('error', () => answer(false));
  });
}
