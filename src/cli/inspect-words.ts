// How `inspect` says what it found. Pure: descriptions in, lines out; every value is escaped, for all of them come from
// whoever made the certificate.
import { roughDuration } from '../config/duration.ts';
import { printable } from './escape.ts';
import type { Described } from './inspect-file.ts';
import type { PeerReport } from './inspect-peer.ts';
import { facts } from './table.ts';

/** What certgate makes of a certificate: src/identity's answer, or why it could not be read. */
export type Meaning =
  | { readonly ok: true; readonly identity: string; readonly rule: string }
  | { readonly ok: false; readonly code: string; readonly reason: string };

type Row = readonly [label: string, value: string];

/** Lines about one thing in a file or in a peer's chain. `mode` is the file's, e.g. `0600`; null when it has none. */
export function describedLines(described: Described, meaning: Meaning | null, mode: string | null): string[] {
  return facts(rowsOf(described, meaning, mode).map(([label, value]) => [label, printable(value)] as const));
}

/** Lines about the connection to a peer. */
export function peerLines(what: string, report: PeerReport): string[] {
  const { protocol, cipher, verification, asksForCertificate, answer } = report;
  const verified =
    verification === null
      ? 'not verified: give --ca or --identity'
      : verification === 'ok'
        ? 'verified'
        : `NOT VERIFIED: ${verification}`;
  const said =
    answer.status === null ? answer.detail : `HTTP ${answer.status}${answer.detail === '' ? '' : `: ${answer.detail}`}`;
  const rows: Row[] = [
    ['server', what],
    ['protocol', `${protocol}, ${cipher}`],
    ['trust', verified],
    ['client certificate', asksForCertificate ? 'asked for' : 'not asked for'],
    ['answer to GET /', said],
  ];
  return facts(rows.map(([label, value]) => [label, printable(value)] as const));
}

function rowsOf(described: Described, meaning: Meaning | null, mode: string | null): Row[] {
  switch (described.kind) {
    case 'certificate':
      return [
        [described.ca ? 'CA certificate' : 'certificate', described.subject],
        ...meaningRows(meaning),
        ['issued by', described.issuer],
        ['serial', described.serial],
        ['valid', validity(described.notBefore, described.notAfter, Date.now())],
        ...listRow(
          'names',
          described.subjectAltNames.map(({ type, value }) => `${type}:${value}`),
        ),
        ...listRow('key usage', [...described.keyUsage, ...described.extendedKeyUsage]),
        ...listRow('may name', described.permittedUris),
        ['key', `${described.key.algorithm}, id ${described.key.id}`],
        ['signature', described.signatureAlgorithm],
        ['sha-256', described.fingerprints.sha256],
      ];
    case 'request':
      return [
        ['signing request', described.subject],
        ...listRow(
          'names',
          described.subjectAltNames.map(({ type, value }) => `${type}:${value}`),
        ),
        ['key', `${described.key.algorithm}, id ${described.key.id}`],
        ['signature', described.signatureAlgorithm],
        ['sha-256', described.fingerprints.sha256],
      ];
    case 'crl':
      return [
        ['revocation list', described.issuer],
        ...listRow('number', described.number === null ? [] : [described.number]),
        ['made', described.thisUpdate],
        ['next', described.nextUpdate ?? 'not said'],
        ['signature', described.signatureAlgorithm],
        ['revoked', `${described.revoked}`],
        ...described.entries
          .slice(0, SHOWN_ENTRIES)
          .map(({ serial, revokedAt, reason }): Row => ['', `${serial}  ${revokedAt}  ${reason ?? ''}`.trimEnd()]),
        ...listRow('', described.revoked > SHOWN_ENTRIES ? [`… and ${described.revoked - SHOWN_ENTRIES} more`] : []),
      ];
    case 'private key':
      return [
        ['private key', described.encrypted ? 'encrypted' : 'not encrypted'],
        ...listRow('public key', described.publicKeyId === null ? [] : [`id ${described.publicKeyId}`]),
        ...listRow('file mode', mode === null ? [] : [modeWords(mode)]),
      ];
    case 'public key':
      return [['public key', `id ${described.id}`]];
    default:
      return [['unknown', `a PEM block called ${described.label}`]];
  }
}

const SHOWN_ENTRIES = 20;

function meaningRows(meaning: Meaning | null): Row[] {
  if (meaning === null) return [];
  return [
    ['identity', meaning.ok ? `${meaning.identity}, by ${meaning.rule}` : `none: ${meaning.reason} [${meaning.code}]`],
  ];
}

function listRow(label: string, values: readonly string[]): Row[] {
  return values.length === 0 ? [] : [[label, values.join(', ')]];
}

function modeWords(mode: string): string {
  return (Number.parseInt(mode, 8) & 0o077) === 0
    ? mode
    : `${mode}: users other than its owner can get at it: chmod 600`;
}

function validity(notBefore: string, notAfter: string, now: number): string {
  const [start, end] = [Date.parse(notBefore), Date.parse(notAfter)];
  const span = `${notBefore} to ${notAfter}`;
  if (now < start) return `${span}, not yet: begins in ${roughDuration(start - now)}`;
  if (now >= end) return `${span}, EXPIRED ${roughDuration(now - end)} ago`;
  return `${span}, for another ${roughDuration(end - now)}`;
}
