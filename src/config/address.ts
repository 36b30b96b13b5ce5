// Where to listen and where to connect, as text in the configuration: `host:port`, `[::1]:port`, `unix:/path`,
// `systemd:NAME`, `http://host:port`, `https://host:port`. Pure: text in, parts out; null when the text is none of them. No
// form takes a path, a query or a user name: an address that says more than we use would be obeyed only in part.
import { isIP, isIPv4, SocketAddress } from 'node:net';

/** `host` is without brackets; `port` 0 asks the system for a free one. */
export interface HostAndPort {
  readonly host: string;
  readonly port: number;
}

const LABEL = '[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?';
/** As in certificates (pki/content.ts), `_` too: services of a compose file have it in their names. */
const DNS_NAME = new RegExp(`^(?=.{1,253}$)${LABEL}(?:\\.${LABEL})*$`, 'i');
/** What a URL takes for an IPv4 address, or for a broken one (WHATWG URL, "ends in a number"): `0x7f.1`, `pi.2`. */
const ENDS_IN_A_NUMBER = /(?:^|\.)(?:\d+|0x[\da-f]*)$/i;

/** True for a DNS name (letters, digits, hyphens, `_`; no wildcard, no final dot). Not for an IP address. */
export function isDnsName(text: string): boolean {
  return DNS_NAME.test(text) && !ENDS_IN_A_NUMBER.test(text);
}

/** True for an IP address. */
export function isAddress(text: string): boolean {
  return !isDnsName(text) && (isIPv4(text) || isIPv6(text));
}

/**
 * For its first answer Node's own makes a pattern, which takes 5 ms of each start: the system is asked instead, about what it
 * understands as Node does.
 */
function isIPv6(text: string): boolean {
  if (!/^[\da-f:.]+$/i.test(text)) return isIP(text) === 6;
  try {
    return new SocketAddress({ address: text, family: 'ipv6' }).family === 'ipv6';
  } catch {
    return false;
  }
}

/** Addresses whose first `bits` bits are those of `address`. */
export interface Network {
  readonly address: string;
  readonly bits: number;
  readonly family: 'ipv4' | 'ipv6';
}

/** A network of IP addresses, `10.0.0.0/8`, or one address, which is a network of its own. */
export function parseNetwork(text: string): Network | null {
  const [, address = '', digits] = /^([\da-f.:]+)(?:\/(\d{1,3}))?$/i.exec(text) ?? [];
  const family = isIPv4(address) ? 'ipv4' : isIPv6(address) ? 'ipv6' : null;
  if (family === null) return null;
  const most = family === 'ipv4' ? 32 : 128;
  const bits = Number(digits ?? most);
  return bits > most ? null : { address, bits, family };
}

/** `host:port` or `[v6]:port`; the host is a DNS name or an IP address. */
export function parseHostPort(text: string): HostAndPort | null {
  const match = /^(?:\[([0-9a-f:.]+)\]|([^:[\]/@\s]+)):(\d{1,5})$/i.exec(text);
  if (match === null) return null;
  const [, v6, name, digits] = match;
  const host = v6 ?? name ?? '';
  const port = Number(digits);
  if (port > 65535) return null;
  if (v6 !== undefined ? !isIPv6(v6) : !isIPv4(host) && !isDnsName(host)) return null;
  return { host, port };
}

/** A host as it stands before `:port`: an IPv6 address in brackets. */
export function bracketed(host: string): string {
  return host.includes(':') ? `[${host}]` : host;
}

/** Whether nobody but this machine reaches a host by that name or address. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIPv4(host) && host.startsWith('127.'));
}

/** The name behind `systemd:`, of a socket that systemd passes (FileDescriptorName= in systemd.socket(5)), or null. */
export function parseSystemdName(text: string): string | null {
  return /^systemd:([!-9;-~]{1,255})$/.exec(text)?.[1] ?? null;
}

/** The path behind `unix:`, or null; absolute once the configuration is loaded. 107 bytes is what Linux's sockaddr_un holds. */
export function parseSocketPath(text: string): string | null {
  const path = text.startsWith('unix:') ? text.slice('unix:'.length) : '';
  return path === '' || path.includes('\0') || Buffer.byteLength(path) > 107 ? null : path;
}

/** `http://host[:port]` or `https://host[:port]` with nothing behind it; the port defaults to the scheme's. */
export function parseOrigin(text: string, scheme: 'http' | 'https'): HostAndPort | null {
  const prefix = `${scheme}://`;
  if (!text.startsWith(prefix)) return null;
  const authority = text.slice(prefix.length).replace(/\/$/, '');
  const withPort =
    /:\d+$/.test(authority) && !authority.endsWith(']') ? authority : `${authority}:${defaultPort(scheme)}`;
  const parsed = parseHostPort(withPort);
  return parsed === null || parsed.port === 0 ? null : parsed;
}

function defaultPort(scheme: 'http' | 'https'): number {
  return scheme === 'https' ? 443 : 80;
}
