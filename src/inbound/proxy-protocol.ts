// The PROXY protocol (haproxy.org/download/3.0/doc/proxy-protocol.txt), versions 1 and 2: what a load balancer that passes TLS
// through says before the client's first byte, of whose connection it is. Pure. Everything that the specification does
// not allow is refused: who misreads a header takes a part of it for the client's, or for its address.

import { isIPv4, isIPv6, SocketAddress } from 'node:net';

export type ProxyHeader =
  /** So far it may become one. */
  | { readonly kind: 'more' }
  /**
   * One in the first `length` bytes. `source` is the client's IP address as Node would write a peer's; null where there is no
   * client (a balancer looks whether the gate is there) or the balancer does not know it, and the connection is to be taken
   * as it is (§2.1, §2.2).
   */
  | { readonly kind: 'header'; readonly length: number; readonly source: string | null }
  /** `problem` completes "the connection …". */
  | { readonly kind: 'bad'; readonly problem: string };

const V1 = Buffer.from('PROXY ');
const V2 = Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1');
/** The longest line of version 1, its CRLF included (§2.1). */
const V1_MOST = 107;
/** Signature, version and command, family and protocol, length (§2.2). */
const V2_LEAST = 16;
/** Addresses and what balancers add to them. */
const V2_MOST = 4_096;
/** Both addresses and both ports, by family and protocol; a unix socket has no address that says anything here. */
const V2_ADDRESSES = new Map([
  [0x00, 0],
  [0x11, 12],
  [0x21, 36],
  [0x31, 216],
]);
const PORT = /^(?:0|[1-9]\d{0,4})$/;
const TLS_HANDSHAKE = 0x16;

const MORE: ProxyHeader = { kind: 'more' };

/** Reads the header at the beginning of `bytes`, which may hold more, or less. */
export function readProxyHeader(bytes: Buffer): ProxyHeader {
  if (begins(bytes, V2)) return bytes.length < V2_LEAST ? MORE : readBinary(bytes);
  if (begins(bytes, V1)) return readLine(bytes);
  const how = bytes[0] === TLS_HANDSHAKE ? 'begins with TLS at once' : 'begins with something else';
  return bad(`${how}, and not with a PROXY protocol header`);
}

/** Whether `bytes` and `signature` agree as far as both go. */
function begins(bytes: Buffer, signature: Buffer): boolean {
  const common = Math.min(bytes.length, signature.length);
  return bytes.compare(signature, 0, common, 0, common) === 0;
}

function readLine(bytes: Buffer): ProxyHeader {
  const end = bytes.subarray(0, V1_MOST).indexOf('\r\n', 0, 'latin1');
  if (end < 0) return bytes.length < V1_MOST ? MORE : bad(`has a PROXY line of more than ${V1_MOST} bytes`);
  const length = end + 2;
  const [, family, source = '', destination = '', ...ports] = bytes.toString('latin1', 0, end).split(' ');
  if (family === 'UNKNOWN') return { kind: 'header', length, source: null };
  const is = family === 'TCP4' ? isIPv4 : family === 'TCP6' ? isPlainIPv6 : null;
  const whole = ports.length === 2 && ports.every((port) => PORT.test(port) && Number(port) <= 65_535);
  if (is === null || !whole || !is(source) || !is(destination)) return bad('has a PROXY line that can not be read');
  return { kind: 'header', length, source: family === 'TCP6' ? asNodeWrites(source) : source };
}

function readBinary(bytes: Buffer): ProxyHeader {
  const [version, command] = [bytes.readUInt8(12) >> 4, bytes.readUInt8(12) & 0x0f];
  if (version !== 2 || command > 1) return bad('has a PROXY header of a version or command that is not known');
  const length = V2_LEAST + bytes.readUInt16BE(14);
  if (length > V2_LEAST + V2_MOST) return bad(`has a PROXY header of ${length} bytes`);
  if (bytes.length < length) return MORE;
  // LOCAL: the balancer's own. What stands behind is skipped, whatever it is.
  if (command === 0) return { kind: 'header', length, source: null };
  const family = bytes.readUInt8(13);
  const least = V2_ADDRESSES.get(family);
  if (least === undefined || length < V2_LEAST + least) {
    return bad('has a PROXY header whose addresses can not be read');
  }
  const source = family === 0x11 ? ipv4(bytes) : family === 0x21 ? ipv6(bytes) : null;
  return { kind: 'header', length, source };
}

function ipv4(bytes: Buffer): string {
  return bytes.subarray(V2_LEAST, V2_LEAST + 4).join('.');
}

function ipv6(bytes: Buffer): string {
  const groups = Array.from({ length: 8 }, (_, i) => bytes.readUInt16BE(V2_LEAST + 2 * i).toString(16));
  return asNodeWrites(groups.join(':'));
}

/** An IPv6 address as Node names a peer by it, with `::ffff:192.0.2.7` for an IPv4 client of a balancer that speaks IPv6. */
function asNodeWrites(address: string): string {
  return new SocketAddress({ address, family: 'ipv6' }).address;
}

/** An interface's name behind it would mean something on the balancer alone. */
function isPlainIPv6(text: string): boolean {
  return isIPv6(text) && !text.includes('%');
}

function bad(problem: string): ProxyHeader {
  return { kind: 'bad', problem };
}
