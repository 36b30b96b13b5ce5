// Sends an answer that may be a list of a million entries, 47 MB, to a peer that takes it as slowly as it likes: a part at
// a time, each when the one before is with the system. Nothing is copied or encrypted in one go, so that nobody else waits,
// and what has not been sent is held once, however many ask for it.
import type { Socket } from 'node:net';
import type { StatusAnswer } from './answer.ts';

/** Octets that go out in one go. */
const SHORT = 65_536;

/** Resolves when the system has taken all of it; rejects when the connection is gone. */
export async function sendAnswer(socket: Socket, { head, body }: StatusAnswer): Promise<void> {
  const parts = [Buffer.from(head, 'latin1'), ...(body ?? [])];
  if (parts.reduce((sum, { length }) => sum + length, 0) <= SHORT) return sendPart(socket, Buffer.concat(parts));
  for (const part of parts) await sendPart(socket, part);
}

function sendPart(socket: Socket, part: Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.write(part, (error) => {
      if (error === undefined || error === null) resolve();
      else reject(error);
    });
  });
}
