// The one schema of certgate's configuration. Everything that can be set stands here once: its place in certgate.yaml,
// its default, what it may be, what it is for and which flag sets it. The loader, the template that `init` writes,
// docs/configuration.md and the commands' flags are all made from it, so none of them can drift.
// Durations are text in the file (`24h`) and milliseconds in `Config`. No secret may stand in the file.

import { hostname } from 'node:os';
import * as z from 'zod/mini';
import { parseTrustDomain } from '../identity/name.ts';
import { isAddress, isDnsName, parseOrigin, parseSocketPath } from './address.ts';
import { auditSettings } from './auditing.ts';
import { enrollSettings, issueSettings, renewSettings } from './issuing.ts';
import { identityRule } from './rules.ts';
import { ca, clientKey, gateFingerprint, passphrase } from './schema-keys.ts';
import {
  aFile,
  ceiling,
  count,
  duration,
  listenAt,
  networks,
  onOff,
  optionalText,
  pathOfApi,
  processes,
  settings,
  text,
  withDefault,
} from './setting.ts';
import { metricsSettings, statusSettings } from './status.ts';

const isTrustDomain = (value: string) => {
  try {
    return parseTrustDomain(value) === value;
  } catch {
    return false;
  }
};

/** A container is called what it likes, by digits alone too, which no certificate can say. */
const machineName = (): string[] => [hostname().toLowerCase()].filter(isDnsName);

/** What a server's certificate can say: no address with a zone. */
const isNameOfHost = (value: string): boolean => isDnsName(value) || (isAddress(value) && !value.includes('%'));

function times() {
  return {
    headBytes: count(32_768, { about: 'Largest request or answer head, in bytes.' }, { min: 1024, max: 1_048_576 }),
    headerLines: count(100, { about: 'Maximum number of header lines in a head.' }, { min: 10, max: 1000 }),
    handshake: duration('10s', { about: 'Time for a TLS handshake.' }, { min: '100ms', max: '5m' }),
    head: duration('15s', { about: 'Time from the first to the last byte of a head.' }, { min: '100ms', max: '5m' }),
    idle: duration(
      '75s',
      { about: "How long a connection may be idle between requests; Prefect's client keeps idle connections for 25s." },
      { min: '1s', max: '1h' },
    ),
    stall: duration(
      '5m',
      { about: 'How long a request in progress may go without a byte in either direction.' },
      { min: '1s', max: '24h' },
    ),
    upstreamIdle: duration(
      '4s',
      { about: 'How long an idle upstream connection is kept; uvicorn closes idle connections after 5s.' },
      { min: '0s', max: '1h' },
    ),
    upstreamConnect: duration('5s', { about: 'Time to connect to the upstream.' }, { min: '100ms', max: '5m' }),
  };
}

/** Limits of the outbound sidecar, whose clients are all of this machine. */
const sidecarLimits = () => z.prefault(z.strictObject(times()), {});

/** Limits of the gate, whose clients may be anyone. */
const gateLimits = () =>
  z.prefault(
    z.strictObject({
      ...times(),
      connections: ceiling(
        'auto',
        {
          about:
            "Connections of all clients together. auto is half of the process's file descriptors, which leaves the other half for the upstream.",
        },
        true,
      ),
      connectionsPerAddress: ceiling(
        10_000,
        { about: 'Connections from one IP address or one IPv6 /64; behind NAT, many workers may share one.' },
        false,
      ),
      handshakesPerAddress: ceiling(
        500,
        { about: "New connections per second from one IP address or IPv6 /64; a burst may be ten seconds' worth." },
        false,
      ),
      connectionsPerIdentity: ceiling(
        2_000,
        { about: 'Connections of one identity; a process worker and all its flow runs are one identity.' },
        false,
      ),
      requestsPerIdentity: ceiling(
        1_000,
        { about: 'Requests in flight of one identity. WebSockets count only as connections.' },
        false,
      ),
    }),
    {},
  );

const serve = z.strictObject({
  listen: listenAt('0.0.0.0:8443', '--listen', 'Where the gate listens for mutual TLS.', false),
  upstream: text(
    'http://127.0.0.1:4200',
    { about: 'The Prefect server behind the gate.', flag: '--upstream' },
    {
      kind: 'address',
      wants: 'http://host:port without a path, or unix:/path',
      example: 'http://127.0.0.1:4200',
      accepts: (value) => parseOrigin(value, 'http') !== null || parseSocketPath(value) !== null,
    },
  ),
  apiPath: pathOfApi("Path of Prefect's API (its PREFECT_SERVER_API_BASE_PATH); the gate has it at /api."),
  names: withDefault(z.array(z.string().check(z.refine(isNameOfHost))).check(z.minLength(1), z.maxLength(100)), () => [
    ...machineName(),
    'localhost',
    '127.0.0.1',
    '::1',
  ]).register(settings, {
    kind: 'list',
    about: "DNS names and IP addresses for the gate's own server certificate: those that clients connect to.",
    wants: 'a list of at most 100 DNS names and IP addresses',
    example: '[gate.example, 192.0.2.7]',
    fallback: "[this machine's name, localhost, 127.0.0.1, '::1']",
    flag: '--name',
  }),
  minTls: withDefault(z.enum(['1.3', '1.2']), '1.3').register(settings, {
    kind: 'text',
    about: 'The lowest TLS version that the gate accepts.',
    wants: '1.3 or 1.2',
    example: '1.3',
    fallback: '1.3',
    flag: '--min-tls',
  }),
  proxyProtocolFrom: networks({
    about:
      "Load balancers that pass TLS through and state the client's address: connections from these addresses must begin with a PROXY protocol header, version 1 or 2.",
    flag: '--proxy-protocol-from',
  }),
  authStringFile: optionalText(
    {
      about:
        "File with the Prefect server's password (its PREFECT_SERVER_API_AUTH_STRING), which the gate adds to requests.",
      flag: '--auth-string-file',
    },
    aFile('/run/secrets/prefect-auth-string'),
  ),
  authString: optionalText(
    { about: 'That password itself.', environmentOnly: true },
    { wants: 'printable text', example: 'user:password', accepts: (value) => /^[\x20-\x7e]+$/.test(value) },
  ),
  policy: optionalText(
    {
      about:
        'The policy file: roles, and who has them (docs/policy.md). Without one, every admitted client may do everything.',
      flag: '--policy',
    },
    aFile('policy.yaml'),
  ),
  serverTtl: duration(
    '24h',
    { about: "Lifetime of the gate's own server certificate, which renews itself." },
    { min: '5m', max: '366d' },
  ),
  drain: duration(
    '5m',
    {
      about: 'How long requests in flight may continue after the gate is told to stop.',
      flag: '--drain',
    },
    { min: '0s', max: '24h' },
  ),
  workers: processes(1, {
    about:
      'Number of serving processes; if more than one, a separate process accepts connections and writes the record. auto is one per core.',
    flag: '--workers',
  }),
  status: statusSettings(),
  metrics: metricsSettings('the gate'),
  limits: gateLimits(),
});

const connect = z.strictObject({
  gate: optionalText(
    { about: 'The gate to connect to.', flag: '--gate' },
    {
      kind: 'text',
      wants: 'https://host:port without a path',
      example: 'https://gate.example:8443',
      accepts: (value) => parseOrigin(value, 'https') !== null,
    },
  ),
  listen: listenAt(
    '127.0.0.1:4210',
    '--listen',
    'Where the outbound sidecar listens for Prefect clients on this machine.',
    true,
  ),
  identityDir: optionalText(
    {
      about: 'Folder with tls.crt, tls.key and ca.crt, as written by `certgate issue`.',
      flag: '--identity',
    },
    aFile('./worker-etl-1'),
  ),
  cert: optionalText(
    {
      about: "The client's certificate and its issuer (PEM), instead of the folder's tls.crt.",
      flag: '--cert',
    },
    aFile('tls.crt'),
  ),
  ...clientKey(),
  ca: optionalText(
    {
      about: "The trust bundle to verify the gate with (PEM), instead of the folder's ca.crt.",
      flag: '--ca',
    },
    aFile('ca.crt'),
  ),
  ...gateFingerprint(),
  trustInterval: duration(
    '1m',
    {
      about:
        "How often the gate is asked for the CA's trust bundle, so that a new root reaches this machine automatically. The bundle is written to the folder's ca.crt, never to a file set as `ca`.",
    },
    { min: '1s', max: '24h' },
  ),
  renew: onOff(
    true,
    'Whether the sidecar renews the certificate in `identityDir` itself, at two thirds of its lifetime.',
  ),
  serverName: optionalText(
    {
      about: "Name to expect in the gate's certificate, if it is not the host in `gate`.",
      flag: '--server-name',
    },
    {
      wants: 'a DNS name or an IP address',
      example: 'gate.example',
      accepts: isNameOfHost,
    },
  ),
  drain: duration(
    '30s',
    {
      about: 'How long requests in flight may continue after the sidecar is told to stop.',
      flag: '--drain',
    },
    { min: '0s', max: '24h' },
  ),
  metrics: metricsSettings('the sidecar'),
  limits: sidecarLimits(),
});

/** The whole configuration. Its input is what certgate.yaml may hold; its output has durations in milliseconds. */
export const configSchema = z.strictObject({
  trustDomain: text(
    'certgate.internal',
    {
      about: "The SPIFFE trust domain: the host part of every identity's SPIFFE ID. It cannot change after init.",
      flag: '--trust-domain',
    },
    {
      wants: 'lower-case labels of [a-z0-9_-] joined by dots, 255 characters at most, not an address',
      example: 'certgate.internal',
      accepts: isTrustDomain,
    },
  ),
  stateDir: text('state', { about: "Folder for the store, the gate's record and its control socket." }, aFile('state')),
  certsDir: text(
    'certs',
    { about: 'Folder for the root, the issuer, their keys and the trust bundle.' },
    aFile('certs'),
  ),
  passphrase: passphrase(),
  ca: z.prefault(ca(), {}),
  serve: z.prefault(serve, {}),
  identity: z.prefault(
    z.strictObject({
      rules: withDefault(z.array(identityRule).check(z.minLength(1), z.maxLength(100)), [{ from: 'spiffe' }]).register(
        settings,
        {
          kind: 'rules',
          about: 'How a certificate is mapped to an identity: the first rule that yields one wins.',
          wants: `a list of {from: spiffe} or {from: CN|OU|O|DNS|URI|email, match: 'pattern', as: 'worker/$1'}`,
          example: '[{from: spiffe}]',
          fallback: '[{from: spiffe}]',
          inEnvironment: `'[{"from":"spiffe"}]'`,
        },
      ),
      unsafeUnrecorded: withDefault(z.boolean(), false).register(settings, {
        kind: 'switch',
        about: "Whether to admit certificates of this CA that certgate did not issue; they can't be revoked.",
        wants: 'true or false',
        example: 'false',
        fallback: 'false',
      }),
    }),
    {},
  ),
  connect: z.prefault(connect, {}),
  enroll: enrollSettings(),
  renew: renewSettings(),
  issue: issueSettings(),
  audit: auditSettings(),
  log: z.prefault(
    z.strictObject({
      level: withDefault(z.enum(['error', 'warn', 'info', 'debug']), 'info').register(settings, {
        kind: 'text',
        about: 'The lowest severity that is logged.',
        wants: 'error, warn, info or debug',
        example: 'info',
        fallback: 'info',
        flag: '--log-level',
      }),
      access: withDefault(z.boolean(), true).register(settings, {
        kind: 'switch',
        about: 'Whether to log one line for every request.',
        wants: 'true or false',
        example: 'true',
        fallback: 'true',
      }),
    }),
    {},
  ),
});

/** Limits of a listener and of its upstream: bytes, lines, and milliseconds. */
export type Limits = z.output<ReturnType<typeof sidecarLimits>>;

/** The configuration as the rest of certgate gets it: complete, checked, paths absolute, durations in milliseconds. */
export type Config = z.output<typeof configSchema> & {
  /** The file it came from, absolute; null when there is none. */
  readonly file: string | null;
  /** Base of the relative paths in the file: its folder, or the working directory when there is no file. */
  readonly dir: string;
};
