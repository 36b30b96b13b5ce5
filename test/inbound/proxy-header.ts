// Headers of the PROXY protocol as a load balancer writes them, put together by the specification and not by the reader's code.

import { Buffer } from 'node:buffer';

export const SIGNATURE = Buffer.from([0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a]);

/** A header of version 2: the byte of version and command, that of family and protocol, and what follows the length. */
export function binary(command: number, family: number, rest: Buffer, length = rest.length): Buffer {
  return Buffer.concat([SIGNATURE, Buffer.from([command, family, length >> 8, length & 0xff]), rest]);
}

/** Of a TCP connection over IPv4, with what a balancer adds behind the addresses. */
export function binaryFrom(source: string, more = Buffer.alloc(0)): Buffer {
  const octets = (address: string): number[] => address.split('.').map(Number);
  const addresses = Buffer.from([...octets(source), ...octets('203.0.113.1'), 0xdc, 0x04, 0x01, 0xbb]);
  return binary(0x21, 0x11, Buffer.concat([addresses, more]));
}
