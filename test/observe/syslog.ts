// A parser of RFC 5424 that takes nothing else, and of counted octets (RFC 6587, 3.4.1), for the tests of what is exported.

export interface SyslogRead {
  readonly pri: number;
  readonly time: string;
  readonly host: string;
  readonly app: string;
  readonly msgid: string;
  readonly sdId: string;
  readonly fields: ReadonlyMap<string, string>;
  readonly text: string;
}

/** RFC 5424, 6: the grammar, with one element of structured data and a MSG-UTF8. Throws for anything else. */
export function parseSyslog(message: Buffer): SyslogRead {
  const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(message);
  const head =
    /^<(0|[1-9]\d{0,2})>([1-9]\d{0,2}) (-|\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?(?:Z|[+-]\d\d:\d\d)) ([!-~]{1,255}) ([!-~]{1,48}) ([!-~]{1,128}) ([!-~]{1,32}) \[([!#-<>-\\^-~]{1,32})/.exec(
      text,
    );
  if (head === null) throw new Error(`no header of RFC 5424: ${text.slice(0, 120)}`);
  const [all, pri = '', version, time = '', host = '', app = '', , msgid = '', sdId = ''] = head;
  if (Number(pri) > 191 || version !== '1') throw new Error(`not PRI and VERSION: ${all}`);
  let at = all.length;
  const fields = new Map<string, string>();
  const param = / ([!#-<>-\\^-~]{1,32})="((?:[^"\\\]]|\\["\\\]])*)"/y;
  for (;;) {
    param.lastIndex = at;
    const found = param.exec(text);
    if (found === null) break;
    fields.set(found[1] ?? '', (found[2] ?? '').replaceAll(/\\(["\\\]])/g, '$1'));
    at = param.lastIndex;
  }
  if (text.slice(at, at + 3) !== '] \uFEFF') throw new Error(`the data does not end so: ${text.slice(at, at + 40)}`);
  return { pri: Number(pri), time, host, app, msgid, sdId, fields, text: text.slice(at + 3) };
}

/** Takes whole messages from the front of `bytes`; what is left comes with them. */
export function takeCounted(bytes: Buffer): { readonly messages: Buffer[]; readonly rest: Buffer } {
  const messages: Buffer[] = [];
  let rest = bytes;
  for (;;) {
    const [count, length] = /^([1-9]\d{0,8}) /.exec(rest.subarray(0, 12).toString('latin1')) ?? [];
    if (count === undefined) {
      if (rest.length >= 12) throw new Error(`no counted octets: ${rest.subarray(0, 40).toString()}`);
      return { messages, rest };
    }
    const end = count.length + Number(length);
    if (rest.length < end) return { messages, rest };
    messages.push(rest.subarray(count.length, end));
    rest = rest.subarray(end);
  }
}
