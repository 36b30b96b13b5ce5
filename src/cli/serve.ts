// `certgate serve`: the inbound sidecar as a process. It loads everything first and listens last, so that a gate which
// answers is a gate that can decide; it drains on SIGTERM and SIGINT, and a second signal cuts what is left.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Command } from 'commander';
import { serialsIn, serveControl } from '../admin/control.ts';
import { storeFile } from '../authority/layout.ts';
import { loadAuthority } from '../authority/load.ts';
import { parseHostPort, parseSocketPath } from '../config/address.ts';
import type { Config } from '../config/schema.ts';
import { CertgateError, reasonOf } from '../errors.ts';
import { compileRules } from '../identity/identify.ts';
import { mostConnections } from '../inbound/descriptors.ts';
import { startGate } from '../inbound/gate.ts';
import { openAuditLog } from '../observe/audit-log.ts';
import { flushLog, type Log, openLog } from '../observe/log.ts';
import { openReopeningStore } from '../store/reopening.ts';
import { openSqliteStore } from '../store/sqlite.ts';
import { warnOfNode } from './doctor/machine.ts';
import { describe } from './help.ts';
import type { CommandIo } from './io.ts';
import { configOf, withSettings } from './settings.ts';
import { untilStopped } from './signals.ts';

const SETTINGS = [
  'serve.listen',
  'serve.upstream',
  'serve.names',
  'serve.minTls',
  'serve.authStringFile',
  'serve.drain',
  'log.level',
];

export function serveCommand(io: CommandIo): Command {
  const command = describe(new Command('serve'), 'run the inbound sidecar: mutual TLS in front of a Prefect server', {
    examples: [
      ['the gate of this folder, in front of a Prefect on this machine', 'certgate serve'],
      [
        'another address, and a Prefect that listens on a unix socket',
        'certgate serve --listen 0.0.0.0:443 --upstream unix:/run/prefect.sock',
      ],
      [
        'a Prefect with PREFECT_SERVER_API_AUTH_STRING: the gate adds it, clients need none',
        'certgate serve --auth-string-file /run/secrets/prefect',
      ],
    ],
    notes: [
      'the log is JSON lines on stderr; the record of writes and refusals is state/audit.jsonl (certgate audit).',
      'SIGTERM or SIGINT ends it after the requests in flight; a second one ends it at once.',
    ],
  });
  return withSettings(command, SETTINGS).action(async () => {
    await serve(configOf(command, io));
  });
}

async function serve(config: Config): Promise<void> {
  const log = openLog({ level: config.log.level });
  const storePath = storeFile(config.stateDir);
  const store = openReopeningStore(storePath, async () => openSqliteStore(storePath));
  const authority = await loadAuthority({ certsDir: config.certsDir, store, trustDomain: config.trustDomain });
  const audit = await openAuditLog(join(config.stateDir, 'audit.jsonl'));
  const listen = parseHostPort(config.serve.listen);
  const upstream = upstreamOf(config.serve.upstream);
  if (listen === null) throw new TypeError(`serve.listen was not checked: ${config.serve.listen}`);

  surviveFaults(log);
  warnOfNode(log);
  const gate = await startGate({
    ...listen,
    upstream,
    names: config.serve.names,
    serverTtl: config.serve.serverTtl,
    minTls: config.serve.minTls,
    trustDomain: config.trustDomain,
    rules: compileRules(config.identity.rules),
    unsafeUnrecorded: config.identity.unsafeUnrecorded,
    authority,
    store,
    audit,
    log,
    accessLog: config.log.access,
    authString: authStringOf(config),
    limits: { ...config.serve.limits, connections: config.serve.limits.connections ?? mostConnections() },
  });
  try {
    const control = await serveControl(join(config.stateDir, 'control.sock'), {
      'GET /health': () => gate.health(),
      'POST /revocations/apply': (body) => gate.applyRevocations(serialsIn(body)),
    });
    const host = gate.host.includes(':') ? `[${gate.host}]` : gate.host;
    log.info(
      { address: `${host}:${gate.port}`, upstream: config.serve.upstream, trustDomain: config.trustDomain },
      'listening',
    );
    await untilStopped(async (signal, hurry) => {
      log.info({ signal, drainMs: config.serve.drain }, 'draining');
      // The next gate on this state folder may start while this one finishes.
      await control.close();
      await gate.drain(config.serve.drain, hurry);
    });
    await audit.close();
    await store.close();
    log.info('stopped');
  } catch (error) {
    await gate.drain(0);
    throw error;
  } finally {
    await flushLog(log);
  }
}

function upstreamOf(text: string): { host: string; port: number } | { path: string } {
  const socket = parseSocketPath(text);
  if (socket !== null) return { path: socket };
  const url = new URL(text);
  return { host: url.hostname.replace(/^\[|\]$/g, ''), port: url.port === '' ? 80 : Number(url.port) };
}

/** The password that Prefect wants: from the environment, else from the file, without its last line end. */
function authStringOf(config: Config): string | null {
  if (config.serve.authString !== null) return config.serve.authString;
  const file = config.serve.authStringFile;
  if (file === null) return null;
  try {
    const text = readFileSync(file, 'utf8').replace(/\r?\n$/, '');
    if (text !== '') return text;
  } catch (error) {
    const reason = `cannot be read: ${reasonOf(error)}`;
    throw new CertgateError('CG_AUTH_STRING_FILE', { file, problem: reason }, { cause: error });
  }
  throw new CertgateError('CG_AUTH_STRING_FILE', { file, problem: 'is empty' });
}

/** The last net: a fault that would end the process is logged with its stack, and everyone else is served on. */
function surviveFaults(log: Log): void {
  process.on('uncaughtException', (error) => log.error({ stack: error.stack }, 'fault: please report this'));
  process.on('unhandledRejection', (reason) => log.error({ reason: reasonOf(reason) }, 'fault: please report this'));
}
