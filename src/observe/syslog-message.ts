// A record as a message of RFC 5424: facility 13 (log audit), what it is as MSGID, its fields as structured data, and the
// line itself after a BOM, as UTF-8. Bounded: RFC 5425 has receivers take 8192 octets, RFC 5426 2048 of a datagram; a field
// that is too long for that is cut in the structured data, and then the line, never within a character. Pure.

import type { ExportEntry } from './export-entry.ts';

/** Octets of a message on a stream and in a datagram. */
export const LONGEST_ON_STREAM = 8192;
export const LONGEST_IN_DATAGRAM = 2048;

/** RFC 5424, table 1: "log audit"; table 2. */
const FACILITY = 13;
const SEVERITY = { error: 3, warning: 4, notice: 5, info: 6 } as const;
/** A message has some 20 fields at most: so they leave room for the line. */
const SHARE = 32;

export interface SyslogForm {
  readonly host: string;
  /** `name@number`: the number is the enterprise's that has defined the name (RFC 5424, 6.3.2). */
  readonly sdId: string;
  /** Octets. */
  readonly longest: number;
}

/** Without framing. */
export function syslogMessage(entry: ExportEntry, { host, sdId, longest }: SyslogForm): Buffer {
  const name = host.replaceAll(/[^!-~]/g, '').slice(0, 255) || '-';
  const time = new Date(entry.time);
  const when = Number.isNaN(time.getTime()) || time.getUTCFullYear() > 9999 ? '-' : time.toISOString();
  const most = Math.floor(longest / SHARE);
  const data = Object.entries(entry.fields).map(([field, value]) => ` ${field}="${sdValue(String(value), most)}"`);
  const header = `<${FACILITY * 8 + SEVERITY[entry.severity]}>1 ${when} ${name} certgate - ${entry.kind}`;
  const message = Buffer.from(`${header} [${sdId}${data.join('')}] \uFEFF${entry.text}`);
  return message.length <= longest ? message : message.subarray(0, boundary(message, longest));
}

/** RFC 6587, 3.4.1, and RFC 5425, 4.3: the length says where a message ends, whatever is in it. */
export function octetCounted(message: Buffer): Buffer {
  return Buffer.concat([Buffer.from(`${message.length} `), message]);
}

/** RFC 5424, 6.3.3: `"`, `\` and `]` are escaped, and nothing else; `most` octets. */
function sdValue(value: string, most: number): string {
  let text = '';
  let length = 0;
  for (const character of value.toWellFormed()) {
    const escaped = /["\\\]]/.test(character) ? `\\${character}` : character;
    length += Buffer.byteLength(escaped);
    if (length > most - 3) return `${text}...`;
    text += escaped;
  }
  return text;
}

function boundary(bytes: Buffer, at: number): number {
  let end = at;
  // Octets 10xxxxxx go on a character.
  while (end > 0 && ((bytes[end] ?? 0) & 0xc0) === 0x80) end--;
  return end;
}
