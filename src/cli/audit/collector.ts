// Where `certgate audit export --to` sends to, from the text that names it.
import { validateHeaderName, validateHeaderValue } from 'node:http';
import { hostname } from 'node:os';
import { shown } from '../../errors.ts';
import type { Sender } from '../../observe/export-entry.ts';
import { LONGEST_IN_DATAGRAM, LONGEST_ON_STREAM } from '../../observe/syslog-message.ts';
import { usage } from '../flags.ts';
import { readCollectorTls } from './collector-tls.ts';
import { otlpSender } from './otlp-sender.ts';
import { datagramSender, streamSender } from './syslog-sender.ts';

export interface CollectorAsked {
  readonly to: string;
  readonly sdId: string;
  /** Relative paths are meant from here. */
  readonly cwd: string;
  readonly ca?: string | undefined;
  readonly cert?: string | undefined;
  readonly key?: string | undefined;
  /** OTEL_EXPORTER_OTLP_HEADERS: `name=value,…`, percent-encoded. */
  readonly headers?: string | undefined;
}

const FORMS =
  'syslog+tcp://HOST:PORT, syslog+tls://HOST:PORT, syslog+udp://HOST:PORT, syslog+unix:///PATH, otlp+http://HOST:4318/v1/logs or otlp+https://…';
/** RFC 5424, 6.3.2: SD-NAME with an enterprise's number. */
const SD_ID = /^(?=.{3,32}$)[!#-<>?A-Z[\\^-~]+@\d+(\.\d+)*$/;

/** CG_USAGE. Node's errors for files that can't be read. */
export function collectorSender(asked: CollectorAsked): Sender {
  const { to, sdId } = asked;
  if (to.startsWith('unix:') || to === 'syslog+unix:///dev/log') {
    throw usage(
      `--to ${to}: Node.js cannot speak to a datagram socket in the file system, which /dev/log is`,
      'let the syslog of this machine listen on loopback (rsyslog: imudp) and write --to syslog+udp://127.0.0.1:514; a stream socket is --to syslog+unix:///PATH',
    );
  }
  if (!SD_ID.test(sdId))
    throw usage(`--sd-id is ${shown(sdId)}`, 'write a name and an enterprise number: certgate@32473');
  const form = { host: hostname(), sdId };
  const [, path] = /^syslog\+unix:\/\/(\/[^\0]+)$/.exec(to) ?? [];
  if (path !== undefined) return streamSender({ path }, { ...form, longest: LONGEST_ON_STREAM });
  const [, scheme, rest = ''] = /^(syslog\+(?:tcp|tls|udp)|otlp\+https?):\/\/(.+)$/.exec(to) ?? [];
  const url = scheme === undefined ? null : URL.parse(`${scheme === 'otlp+https' ? 'https' : 'http'}://${rest}`);
  if (url === null || url.username !== '' || url.password !== '') {
    throw usage(`--to is ${shown(to)}, which names no collector`, `it is ${FORMS}`);
  }
  const tls = readCollectorTls(asked);
  if (scheme?.startsWith('otlp') === true) {
    if (url.pathname === '/') url.pathname = '/v1/logs';
    return otlpSender({ url, tls, headers: headersIn(asked.headers ?? '') });
  }
  if (url.pathname !== '/' || url.search !== '')
    throw usage(`--to is ${shown(to)}: syslog has no path`, `it is ${FORMS}`);
  const place = {
    host: url.hostname.replaceAll(/^\[|\]$/g, ''),
    // The URL parser leaves out http's own port.
    port: url.port !== '' ? Number(url.port) : rest.endsWith(':80') ? 80 : scheme === 'syslog+tls' ? 6514 : 514,
    tls: scheme === 'syslog+tls' ? tls : null,
  };
  return scheme === 'syslog+udp'
    ? datagramSender(place, { ...form, longest: LONGEST_IN_DATAGRAM })
    : streamSender(place, { ...form, longest: LONGEST_ON_STREAM });
}

function headersIn(text: string): Record<string, string> {
  const pairs = text.split(',').filter((pair) => pair.trim() !== '');
  return Object.fromEntries(pairs.map(headerIn));
}

function headerIn(pair: string, i: number): readonly [name: string, value: string] {
  const [, name = '', value = ''] = /^([^=]*)=(.*)$/s.exec(pair) ?? [];
  try {
    const header = [name.trim(), decodeURIComponent(value.trim())] as const;
    validateHeaderName(header[0]);
    validateHeaderValue(...header);
    return header;
  } catch {
    // Not shown: it may be a key.
    throw usage(
      `number ${i + 1} of OTEL_EXPORTER_OTLP_HEADERS is not a header`,
      'write name=value,… with %20 for a space: Authorization=Bearer%20…',
    );
  }
}
