// Writes the head that Prefect gets: the client's method, target and headers less everything that only the gate may
// say, plus what the gate says. A header that could pass for one of ours in any spelling (case, `_` for `-`) is dropped
// (DESIGN.md, header conventions): X-Forwarded-*, Forwarded, X-Real-IP, Client-Cert*, X-SSL-*, X-Certgate-*, and
// Prefect-Automation-*, by which Prefect would believe who created a run. Client-Cert is RFC 9440's, X-Forwarded-
// Client-Cert Envoy's form.

import type { X509Certificate } from 'node:crypto';
import type { RequestHead } from '../http1/request-head.ts';
import { framingLine, isHopByHop } from '../http1/write.ts';
import { fingerprintOf } from '../pki/facts.ts';
import type { HeadBytes } from '../proxy/contract.ts';

/** By this header an outbound sidecar says that its own client speaks plain http to it, so that links fit that client. */
const CLIENT_PROTO = 'x-certgate-client-proto';
const OWN =
  /^(?:x-forwarded(?:-.*)?|forwarded|x-real-ip|client-cert(?:-.*)?|x-ssl(?:-.*)?|x-certgate(?:-.*)?|x-request-id|x-client-cert(?:-.*)?|prefect-automation(?:-.*)?)$/;
const MOST_REMEMBERED = 2_000;
const LONGEST_REMEMBERED = 64;
const remembered = new Map<string, boolean>();

/** True for headers that a client may not send on, in any spelling. `name` is in lower case. */
export function isOwnHeader(name: string): boolean {
  const known = remembered.get(name);
  if (known !== undefined) return known;
  const own = OWN.test(name.replaceAll('_', '-'));
  // A peer chooses these names: forget them all rather than grow.
  if (remembered.size >= MOST_REMEMBERED) remembered.clear();
  if (name.length <= LONGEST_REMEMBERED) remembered.set(name, own);
  return own;
}

/** The header lines that are the same for every request with one certificate. */
export function certificateLines(identity: string, certificate: X509Certificate): string {
  const hash = fingerprintOf(certificate);
  // One that could add a field of its own (`;`) is left out.
  const uri = /(?:^|, )URI:([^,";=\s]+)(?=, |$)/.exec(certificate.subjectAltName ?? '')?.[1];
  // Node has no subject for one that is empty, which a SPIFFE ID may stand beside (RFC 5280 §4.2.1.6).
  const named: string | undefined = certificate.subject;
  const subject = (named ?? '').split('\n').toReversed().join(',');
  // Envoy quotes the subject; one that could break out of the quotes is left out.
  const quotable = /^[\x20\x21\x23-\x5b\x5d-\x7e]+$/.test(subject) ? `;Subject="${subject}"` : '';
  return (
    `x-forwarded-client-cert: Hash=${hash}${quotable}${uri === undefined ? '' : `;URI=${uri}`}\r\n` +
    `client-cert: :${certificate.raw.toString('base64')}:\r\n` +
    `x-certgate-identity: ${identity}\r\n`
  );
}

export interface Stamp {
  /** From `certificateLines`. */
  readonly client: string;
  /** The client's IP address. */
  readonly address: string;
  readonly requestId: string;
  /** The target as policy decided on it. */
  readonly target: string;
  /** How the client itself speaks to us or to its sidecar. */
  readonly proto: 'http' | 'https';
  /** The answer will be read here, so it must come uncompressed. */
  readonly plainAnswer: boolean;
  /** The messages of the WebSocket will be read. */
  readonly plainMessages?: boolean;
  /** `Authorization` for the server's own password; null to pass the client's on. */
  readonly authorization: string | null;
}

/** `http` when an outbound sidecar says that its client speaks http to it, else `https`. */
export function clientProto(head: RequestHead): 'http' | 'https' {
  const at = head.names.indexOf(CLIENT_PROTO);
  return at >= 0 && head.values[at] === 'http' ? 'http' : 'https';
}

const ID_NAME = 'x-request-id: ';
/** For a request line and the line that frames the body. Bytes. */
export const ROOM = 512;

/**
 * Where the heads of one connection are written one after another: what they have in common stays where it is, and what
 * each has of its own is put in before it and behind it.
 */
export interface HeadPlace extends HeadBytes {
  bytes: Buffer;
  /** From `keptLines`. */
  readonly kept: string;
  readonly whole: Buffer;
  readonly idAt: number;
  start: string;
}

/** A place for heads with `kept` in the middle. */
export function openHeadPlace(kept: string, requestId: string, room = ROOM): HeadPlace {
  const text = `${' '.repeat(room)}${kept}${ID_NAME}${requestId}\r\n\r\n`;
  // Memory of its own: in Node's pool what lives as long as its neighbours' connections would keep it.
  const whole = Buffer.allocUnsafeSlow(text.length);
  whole.write(text, 'latin1');
  return { bytes: whole, held: false, kept, whole, idAt: whole.length - requestId.length - 4, start: '' };
}

/** Writes a head that begins with `start` into `place`, or into a new one when that is held or has no room. */
export function writeHeadInto(place: HeadPlace, start: string, requestId: string): HeadPlace {
  const room = place.idAt - ID_NAME.length - place.kept.length;
  if (place.held || start.length > room || place.idAt + requestId.length + 4 !== place.whole.length) {
    return writeHeadInto(openHeadPlace(place.kept, requestId, Math.max(ROOM, start.length)), start, requestId);
  }
  if (start !== place.start) {
    const from = room - start.length;
    place.whole.write(start, from, 'latin1');
    if (start.length !== place.start.length) place.bytes = place.whole.subarray(from);
    place.start = start;
  }
  place.whole.write(requestId, place.idAt, 'latin1');
  return place;
}

/** The API's path at the gate, whatever it is at Prefect: policies, clients and records know this one. */
const API = '/api';

/** `target` as a Prefect takes it that has its API at `apiPath`. */
export function targetBelow(apiPath: string, target: string): string {
  if (apiPath === API || !target.startsWith(API)) return target;
  const after = target[API.length];
  return after === undefined || after === '/' || after === '?' ? apiPath + target.slice(API.length) : target;
}

/** What each head has of its own: the request line, and the line that frames the body. */
export function startOfHead(head: RequestHead, target: string): string {
  const line = `${head.method} ${target} HTTP/1.1\r\n`;
  if (head.bodyLength !== 0) return line + framingLine(head.bodyLength);
  return head.method === 'POST' || head.method === 'PUT' || head.method === 'PATCH'
    ? `${line}content-length: 0\r\n`
    : line;
}

/** The lines after that: the same for all heads of a connection that share their `names`. */
export function keptLines(head: RequestHead, stamp: Omit<Stamp, 'requestId' | 'target'>): string {
  let text = '';
  const dropped = head.connectionNames;
  const websocket = head.upgrade === 'websocket';
  for (let i = 0; i < head.names.length; i++) {
    const name = head.names[i] ?? '';
    if (isHopByHop(name)) continue;
    if (isOwnHeader(name)) continue;
    if (stamp.plainAnswer && name === 'accept-encoding') continue;
    if (dropped?.includes(name)) continue;
    if (stamp.authorization !== null && name === 'authorization') continue;
    // Messages that will be read must not be compressed (RFC 7692); with a password the first one is.
    const plain = stamp.authorization !== null || stamp.plainMessages === true;
    if (plain && websocket && name === 'sec-websocket-extensions') continue;
    text += `${name}: ${head.values[i]}\r\n`;
  }
  if (stamp.authorization !== null) text += `authorization: ${stamp.authorization}\r\n`;
  if (websocket) text += 'upgrade: websocket\r\nconnection: Upgrade\r\n';
  return (
    `${text}x-forwarded-for: ${stamp.address}\r\n${stamp.client}` +
    `x-forwarded-proto: ${stamp.proto}\r\nx-forwarded-host: ${head.host}\r\n`
  );
}
