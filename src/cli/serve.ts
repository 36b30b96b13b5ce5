// `certgate serve`: the inbound sidecar as a process. It loads everything first and listens last, so that a gate which
// answers is a gate that can decide; it drains on SIGTERM and SIGINT, and a second signal cuts what is left.

import { join } from 'node:path';
import { Command, Option } from 'commander';
import { causesIn, serveControl } from '../admin/control.ts';
import type { ServedSettings } from '../admin/control-client.ts';
import { claimStateFolder } from '../admin/one-gate.ts';
import { storeFile } from '../authority/layout.ts';
import { loadAuthority } from '../authority/load.ts';
import { bracketed, parseHostPort } from '../config/address.ts';
import { loadPolicy } from '../config/policy-load.ts';
import type { Config } from '../config/schema.ts';
import { type GateOptions, startGate } from '../inbound/gate.ts';
import type { PolicyPlace } from '../inbound/policy-watch.ts';
import type { PlainListener } from '../inbound/status/plain-listener.ts';
import type { Told } from '../observe/exposition.ts';
import { flushLog, type Log, openLog } from '../observe/log.ts';
import { mostConnections } from '../proxy/descriptors.ts';
import { openReopeningStore } from '../store/reopening.ts';
import { openSqliteStore } from '../store/sqlite.ts';
import { openSignedAudit } from './audit/signed-audit.ts';
import { warnOfNode } from './doctor/node.ts';
import { giveBackOnceIdle } from './give-back.ts';
import { describe } from './help.ts';
import type { CommandIo } from './io.ts';
import { startMonitor } from './monitor-listener.ts';
import { passedSocket } from './passed-socket.ts';
import { keyStoreOf } from './passphrase.ts';
import { enrolmentPlaceOf, publishingOf, startStatus } from './serve-listeners.ts';
import { auditFile, authStringOf, dataPathOptions, surviveFaults } from './serve-options.ts';
import { configOf, withSettings } from './settings.ts';
import { hearStop } from './signals.ts';
import { tellReady } from './tell-ready.ts';

/** What the primary of several workers starts them with; no use to people. */
const WORKER_FLAG = '--as-worker';

const SETTINGS = [
  'serve.listen',
  'serve.upstream',
  'serve.names',
  'serve.policy',
  'serve.minTls',
  'serve.proxyProtocolFrom',
  'serve.authStringFile',
  'serve.drain',
  'serve.workers',
  'serve.status.listen',
  'serve.metrics.listen',
  'enroll.listen',
  'ca.passphraseFile',
  'ca.signer',
  'log.level',
];

export function serveCommand(io: CommandIo): Command {
  const command = describe(new Command('serve'), 'run the inbound sidecar: mutual TLS in front of a Prefect server', {
    examples: [
      ['the gate of this folder, in front of a Prefect server on this machine', 'certgate serve'],
      [
        'another address, and a Prefect server that listens on a unix socket',
        'certgate serve --listen 0.0.0.0:443 --upstream unix:/run/prefect.sock',
      ],
      [
        'a Prefect server with PREFECT_SERVER_API_AUTH_STRING: the gate adds it, clients need none',
        'certgate serve --auth-string-file /run/secrets/prefect',
      ],
    ],
    notes: [
      'the log is JSON lines on stderr; the record of writes and refusals is state/audit.jsonl (certgate audit).',
      'SIGTERM or SIGINT stops the gate after the requests in flight, a second one at once. SIGHUP reloads the policy.',
    ],
  });
  withSettings(command, SETTINGS).addOption(new Option(WORKER_FLAG).hideHelp());
  return command.action(async (options: { asWorker?: true }) => {
    if (options.asWorker === true) await (await import('./serve-worker.ts')).serveWorker();
    else await serve(configOf(command, io), io);
  });
}

async function serve(config: Config, io: CommandIo): Promise<void> {
  // Workers inherit the environment, and need no passphrase.
  delete io.env['CERTGATE_PASSPHRASE'];
  const listen = parseHostPort(config.serve.listen) ?? passedSocket(config.serve.listen, io.env);
  const several = config.serve.workers > 1;
  const policy = policyOf(config, io.cwd);
  const log = openLog({ level: config.log.level, severalWriters: several });
  const storePath = storeFile(config.stateDir);
  const store = openReopeningStore(storePath, async () => openSqliteStore(storePath));
  await store.revision();
  // Before anything is written or bound: two gates would write one record, and each drop the other's control socket.
  const claim = claimStateFolder(config.stateDir);
  const keys = await keyStoreOf(config, io, (sentence) => log.warn(sentence));
  const place = { certsDir: config.certsDir, store, trustDomain: config.trustDomain, keys };
  const authority = await loadAuthority({
    ...place,
    statusUrl: config.serve.status.url,
    warn: (sentence) => log.warn(sentence),
  });
  const audit = await openSignedAudit(auditFile(config), {
    ...{ authority, store, log, rules: config.audit },
  });

  surviveFaults(log);
  warnOfNode(log);
  const { workers, names, serverTtl, limits } = config.serve;
  const own = mostConnections();
  const started = Promise.withResolvers<void>();
  const publishing = await publishingOf(config, store, authority, { log, started: started.promise });
  const enrolmentPlace = enrolmentPlaceOf(config, publishing);
  const options: GateOptions = {
    ...dataPathOptions(config, authStringOf(config), store),
    listen,
    names,
    serverTtl,
    authority,
    caPlace: { ...place, actor: 'gate' },
    audit,
    log,
    policy,
    enrolmentPlace,
    limits: { ...limits, connections: limits.connections ?? own * workers },
  };
  // From here on a signal finishes what has begun.
  const stop = hearStop();
  let askedEarly = false;
  let reload = (): void => {
    askedEarly = true;
  };
  if (policy !== null) process.on('SIGHUP', () => reload());
  const starting = several
    ? (await import('../inbound/workers/primary.ts')).startWorkers({
        ...options,
        // Workers sign nothing: the passphrase stays here.
        config: { ...config, passphrase: null },
        workers,
        program: { exec: process.argv[1] ?? '', args: ['serve', WORKER_FLAG] },
        connectionsPerWorker: limits.connections === null ? own : Number.POSITIVE_INFINITY,
      })
    : startGate(options);
  const gate = await starting.catch(async (error: unknown) => {
    await publishing?.stop();
    throw error;
  });
  let status: PlainListener | null = null;
  let monitor: PlainListener | null = null;
  let draining = false;
  try {
    status = await startStatus(config, publishing, log);
    const told = async (): Promise<Told> =>
      (await import('../inbound/status/told-of-gate.ts')).toldOfGate(await gate.health());
    monitor = await startMonitor(config.serve.metrics.listen, { told, draining: () => draining }, log);
    const address = `${bracketed(gate.host)}:${gate.port}`;
    const { upstream } = config.serve;
    const passed = 'fd' in listen ? listen.name : null;
    const served: ServedSettings = { listen: address, passed, upstream, names, policy: policy?.path ?? null };
    const control = await serveControl(join(config.stateDir, 'control.sock'), {
      'GET /health': () => gate.health(),
      'GET /settings': async () => served,
      'POST /records/apply': (body) => gate.applyRecords(causesIn(body)),
      'POST /audit/checkpoint': async () => {
        await audit.checkpoint();
        return {};
      },
    });
    const { reloadPolicy } = gate;
    reload = reloadPolicy ?? reload;
    if (askedEarly) reload();
    sayPolicy(policy, log);
    log.info({ address, upstream, trustDomain: config.trustDomain }, 'listening');
    started.resolve();
    void tellReady(log, io.env);
    giveBackOnceIdle(gate.open);
    await stop.until(async (signal, hurry) => {
      log.info({ signal, drainMs: config.serve.drain }, 'draining');
      draining = true;
      // The next gate on this state folder may start while this one finishes.
      await control.close();
      claim.release();
      await status?.stop();
      await publishing?.stop();
      await gate.drain(config.serve.drain, hurry);
    });
    await monitor?.stop();
    await audit.close();
    await store.close();
    log.info('stopped');
  } catch (error) {
    await monitor?.stop();
    await status?.stop();
    await publishing?.stop();
    await gate.drain(0);
    throw error;
  } finally {
    await flushLog(log);
  }
}

/** The policy that the gate starts with, its tests passed; null when the configuration names none. */
function policyOf({ serve: { policy: path } }: Config, cwd: string): PolicyPlace | null {
  return path === null ? null : { path, cwd, loaded: loadPolicy(path, cwd) };
}

function sayPolicy(place: PolicyPlace | null, log: Log): void {
  if (place === null) {
    log.warn('there is no policy: every admitted client may do everything (serve.policy)');
    return;
  }
  const { policy, source, bindings } = place.loaded;
  log.info({ file: source.file, mode: policy.mode, bindings: bindings.length }, 'policy');
  if (policy.mode === 'observe') log.warn('the policy only observes: it refuses nothing');
}
