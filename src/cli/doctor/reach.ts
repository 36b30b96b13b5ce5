// Checks of `certgate doctor` about what this machine can reach: the gate, the Prefect behind it, the gate's control
// socket, and whether Prefect can be reached around the gate. The clock is held against the gate's.

import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { connect as connectTls } from 'node:tls';
import { askHealth } from '../../admin/control-client.ts';
import { parseSocketPath } from '../../config/address.ts';
import type { Config } from '../../config/schema.ts';
import { toGate } from '../../enroll/to-gate.ts';
import { isCertgateError, reasonOf } from '../../errors.ts';
import { reachable } from '../../inbound/reachable.ts';
import { openKey, readCredentials } from '../../outbound/credentials.ts';
import type { Io } from '../io.ts';
import { sidecarPassphrase } from '../passphrase.ts';
import { filesOf } from '../sidecar-options.ts';
import { type Finding, failure, fine, warning } from './finding.ts';

const TIMEOUT = 5_000;
/** Certificates are backdated by a minute: a clock further off than that can make a fresh one invalid. */
const CLOCK_TOLERANCE = 30_000;

/** Asks the gate for Prefect's health with this machine's certificate; also compares the clocks. */
export async function checkGate(config: Config, io: Pick<Io, 'env' | 'askSecret'>): Promise<Finding[]> {
  const { gate, identityDir, cert, serverName } = config.connect;
  if (gate === null) return [];
  if (identityDir === null && cert === null) {
    return [warning('gate', `${gate} is configured, but no certificate is`, 'name one: --identity DIR')];
  }
  const url = new URL(gate);
  let answer: string;
  try {
    const files = { ...filesOf(config), passphrase: sidecarPassphrase(config, io) };
    const { context } = readCredentials(files, await openKey(files));
    answer = await new Promise<string>((resolve, reject) => {
      const socket = connectTls({ ...toGate({ gate: url, serverName }), secureContext: context });
      let text = '';
      socket.setTimeout(TIMEOUT, () => socket.destroy(new Error(`no answer within ${TIMEOUT} ms`)));
      socket.on('secureConnect', () => {
        socket.write(`GET /api/health HTTP/1.1\r\nhost: ${url.host}\r\nconnection: close\r\n\r\n`);
      });
      socket.on('data', (bytes: Buffer) => {
        text += bytes.toString('latin1');
      });
      socket.on('end', () => resolve(text));
      socket.on('error', reject);
    });
  } catch (error) {
    const remedy = isCertgateError(error) ? error.hint : gateRemedy(error, url.host);
    return [failure('gate', `${gate}: ${reasonOf(error)}`, remedy)];
  }
  const status = Number(/^HTTP\/1\.1 (\d{3})/.exec(answer)?.[1] ?? 0);
  const detail = /"detail":"([^"]*)"/.exec(answer)?.[1] ?? `HTTP ${status}`;
  const findings =
    status === 200
      ? [fine('gate', `${gate} answers, and Prefect behind it`)]
      : [failure('gate', `${gate}: ${detail}`, "see the gate's log for the reason")];
  const date = Date.parse(/\r\ndate: ([^\r]+)/i.exec(answer)?.[1] ?? '');
  if (!Number.isNaN(date)) findings.push(checkClock(date, Date.now()));
  return findings;
}

/** What to do when the gate at `address` (host:port) cannot be talked to. */
function gateRemedy(error: unknown, address: string): string {
  const code = error instanceof Error && 'code' in error ? error.code : null;
  return code === 'ERR_TLS_CERT_ALTNAME_INVALID'
    ? `use a name of its certificate in --gate, or --server-name NAME; certgate inspect ${address} shows its names`
    : `is the gate running, and is this its address? certgate inspect ${address}`;
}

/** Holds this machine's clock against one at the gate; both in ms since the epoch. */
export function checkClock(gate: number, here: number): Finding {
  const off = Math.round((here - gate) / 1000);
  return Math.abs(here - gate) > CLOCK_TOLERANCE
    ? failure(
        'clock',
        `this machine is ${Math.abs(off)} s ${off > 0 ? 'ahead of' : 'behind'} the gate`,
        'set it with NTP: timedatectl set-ntp true',
      )
    : fine('clock', 'agrees with the gate');
}

/**
 * The gate of this machine, by its control socket, and the way around it; nothing when this machine has no gate.
 * `differing`: in what it serves otherwise than its configuration says.
 */
export async function checkOwnGate(
  config: Config,
  hasAuthority: boolean,
  differing: readonly string[],
): Promise<Finding[]> {
  if (!hasAuthority) return [];
  const findings: Finding[] = [];
  try {
    const health = await askHealth(join(config.stateDir, 'control.sock'));
    if (health === null) findings.push(warning('own gate', 'is not running', 'start it: certgate serve'));
    else if (health.status === 'ok') findings.push(fine('own gate', `runs, with ${health.connections} connections`));
    else {
      const { store, audit: record, upstream, workers } = health;
      const bad = Object.entries({ store, record, upstream, workers }).flatMap(([part, good]) =>
        good === false ? part : [],
      );
      findings.push(failure('own gate', `is degraded: ${bad.join(', ')}`, 'look at its log'));
    }
  } catch (error) {
    findings.push(failure('own gate', reasonOf(error), 'look at its log'));
  }
  if (differing.length > 0) {
    findings.push(fine('own gate', `is checked as it runs, not as it is configured: ${differing.join(', ')}`));
  }
  findings.push(...(await checkUpstream(config.serve.upstream)));
  return findings;
}

async function checkUpstream(upstream: string): Promise<Finding[]> {
  const socketPath = parseSocketPath(upstream);
  const url = socketPath === null ? new URL(upstream) : null;
  const port = Number(url?.port === '' ? 80 : url?.port);
  const host = url?.hostname.replace(/^\[|\]$/g, '') ?? '';
  const loopback = /^(?:localhost|127\.[\d.]+|::1)$/.test(host);
  const start = `prefect server start --host 127.0.0.1${port === 4200 ? '' : ` --port ${port}`}`;
  const reached = await reachable(() => connect(socketPath === null ? { host, port } : { path: socketPath }), TIMEOUT);
  const findings = [
    reached
      ? fine('upstream', `${upstream} accepts connections`)
      : failure(
          'upstream',
          `${upstream} can't be reached`,
          loopback ? `start it: ${start}` : 'start it, and let the gate reach it',
        ),
  ];
  if (url !== null && !loopback) {
    const found = `${upstream} is not on loopback: whoever reaches it bypasses the gate`;
    findings.push(
      warning('bypass', found, 'let only the gate reach it (firewall, NetworkPolicy), or bind it to 127.0.0.1'),
    );
  } else if (url !== null && listensEverywhere(port)) {
    const found = `something on this machine listens on port ${port} of every address: clients can reach Prefect without the gate`;
    findings.push(failure('bypass', found, `start Prefect on loopback: ${start}`));
  }
  return findings;
}

/** Linux only: whether a TCP listener is bound to `port` on the unspecified address (proc(5), /proc/net/tcp). */
function listensEverywhere(port: number): boolean {
  const hex = port.toString(16).toUpperCase().padStart(4, '0');
  return ['/proc/net/tcp', '/proc/net/tcp6'].some((file) => {
    try {
      return readFileSync(file, 'utf8')
        .split('\n')
        .some((line) => new RegExp(`^\\s*\\d+: 0+:${hex} \\S+ 0A `).test(line));
    } catch {
      return false;
    }
  });
}
