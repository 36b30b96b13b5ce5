// From the configuration to an outbound sidecar: shared by `connect`, which is one, and `run`, which wraps a command in
// one. Refuses what would let other machines use the certificate unless it was called unsafe.

import { join } from 'node:path';
import { bracketed, isAddress, isDnsName, isLoopback, parseHostPort, parseSocketPath } from '../config/address.ts';
import type { Config } from '../config/schema.ts';
import { CertgateError, shown } from '../errors.ts';
import type { Log } from '../observe/log.ts';
import type { CredentialFiles } from '../outbound/credentials.ts';
import type { IdentityOptions } from '../outbound/kept-identity.ts';
import type { SidecarOptions } from '../outbound/sidecar.ts';
import { usage } from './flags.ts';
import type { Io } from './io.ts';
import { loginIdentity } from './login-place.ts';
import { passedSocket } from './passed-socket.ts';
import { sidecarPassphrase } from './passphrase.ts';

export const CONNECT_SETTINGS = [
  'connect.gate',
  'connect.identityDir',
  'connect.cert',
  'connect.key',
  'connect.ca',
  'connect.fingerprint',
  'connect.passphraseFile',
  'connect.serverName',
  'connect.drain',
  'log.level',
];

/** CG_CONNECT_GATE, CG_CREDENTIALS, CG_UNSAFE_LISTEN, CG_PASSED_SOCKET. `listen` is `host:port`, `unix:/path` or `systemd:NAME`. */
export function sidecarOptions(
  config: Config,
  log: Log,
  io: Pick<Io, 'env' | 'askSecret'>,
  more: {
    readonly listen: string;
    readonly unsafeListen: boolean;
    readonly allowHosts: readonly string[];
    readonly accessLog: boolean;
    readonly enrollAgain: (() => Promise<void>) | null;
  },
): SidecarOptions {
  return {
    ...identityOptions(config, log, io),
    listen: listenAt(more.listen, more.unsafeListen, io.env),
    enrollAgain: more.enrollAgain,
    allowedHosts: more.allowHosts.map(hostAllowed),
    accessLog: more.accessLog,
    // Kept well below the gate's own idle time, so that the gate is never the one to close.
    limits: { ...config.connect.limits, upstreamIdle: 60_000 },
  };
}

/** What an identity is kept by, but for how to enrol anew. CG_CONNECT_GATE, CG_CREDENTIALS. */
export function identityOptions(
  config: Config,
  log: Log,
  io: Pick<Io, 'env' | 'askSecret'>,
): Omit<IdentityOptions, 'enrollAgain'> {
  if (config.connect.gate === null) throw new CertgateError('CG_CONNECT_GATE', {});
  return {
    gate: new URL(config.connect.gate),
    files: { ...filesOf(config), passphrase: sidecarPassphrase(config, io) },
    // A bundle that a person named is that person's to change.
    trust: { interval: config.connect.trustInterval, write: config.connect.ca === null },
    renewIn: renewableIn(config),
    serverName: config.connect.serverName,
    again: config.connect.identityDir === loginIdentity(io.env) ? 'certgate login' : null,
    log,
  };
}

/** A Host as requests have it, lower case and without its port. CG_USAGE for what none of them can have. */
function hostAllowed(text: string): string {
  const host = text.toLowerCase().replace(/^\[(.*)\]$/, '$1');
  if (isAddress(host)) return bracketed(host);
  // A final dot spares a resolver its search list, and stays in the Host of a request.
  if (host === '*' || isDnsName(host.replace(/\.$/, ''))) return host;
  throw usage(
    `--allow-host is ${shown(text)}, which no request has for its Host`,
    'name a host or an address, without a port: --allow-host host.docker.internal',
  );
}

function listenAt(text: string, unsafe: boolean, env: NodeJS.ProcessEnv): SidecarOptions['listen'] {
  const socket = parseSocketPath(text);
  if (socket !== null) return { path: socket };
  const address = parseHostPort(text);
  if (address === null) return { ...passedSocket(text, env), loopbackOnly: !unsafe };
  if (!isLoopback(address.host) && !unsafe) throw new CertgateError('CG_UNSAFE_LISTEN', { address: text });
  return address;
}

/** The folder whose certificate is certgate's to renew: none where a person, or another program, named the files. */
function renewableIn({ connect: { identityDir, cert, key, renew } }: Config): string | null {
  return renew && cert === null && key === null ? identityDir : null;
}

/** The three files of an outbound sidecar. CG_CREDENTIALS when none were named. */
export function filesOf(config: Config): CredentialFiles {
  const { identityDir, cert, key, ca } = config.connect;
  const from = (file: string | null, name: string): string => {
    if (file !== null) return file;
    if (identityDir !== null) return join(identityDir, name);
    const remedy =
      'name the folder with tls.crt, tls.key and ca.crt, and the gate: --identity DIR --gate https://HOST:8443; or enrol first: --token-file FILE';
    throw new CertgateError('CG_CREDENTIALS', { file: '', reason: 'no certificate was named', remedy });
  };
  return { cert: from(cert, 'tls.crt'), key: from(key, 'tls.key'), ca: from(ca, 'ca.crt') };
}
