// Opens connections to the gate, and counts what comes of each.

import { type ConnectionOptions, connect as connectTls, type TLSSocket } from 'node:tls';
import { type GateName, toGate } from '../enroll/to-gate.ts';
import type { SidecarCounts } from './sidecar-state.ts';

/** `options`: whom to trust, what to show, and more that `tls.connect` takes. */
export function connectToGate(
  name: GateName,
  counts: Pick<SidecarCounts, 'handshakes' | 'handshakeFailures' | 'unreachable'>,
  options: ConnectionOptions,
): TLSSocket {
  const socket = connectTls({ ...toGate(name), ...options });
  let is: 'begun' | 'reached' | 'open' = 'begun';
  socket.once('connect', () => {
    is = 'reached';
  });
  socket.once('secureConnect', () => {
    is = 'open';
    counts.handshakes++;
  });
  socket.once('close', () => {
    if (is === 'begun') counts.unreachable++;
    else if (is === 'reached') counts.handshakeFailures++;
  });
  return socket;
}
