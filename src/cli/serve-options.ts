// What `certgate serve` makes of its configuration, for the gate in one process and for each worker of several.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseSocketPath } from '../config/address.ts';
import { whyUnread } from '../config/load.ts';
import type { Config } from '../config/schema.ts';
import { CertgateError, reasonOf, systemCode } from '../errors.ts';
import { compileRules } from '../identity/identify.ts';
import type { DataPathOptions } from '../inbound/data-path.ts';
import type { Log } from '../observe/log.ts';
import type { Store } from '../store/store.ts';

/** The record's file. */
export function auditFile(config: Config): string {
  return join(config.stateDir, 'audit.jsonl');
}

/** Everything of the data path that comes from the configuration, and the store. */
export function dataPathOptions(
  config: Config,
  authString: string | null,
  store: Store,
): Omit<DataPathOptions, 'audit' | 'log'> {
  return {
    upstream: upstreamOf(config.serve.upstream),
    apiPath: config.serve.apiPath,
    minTls: config.serve.minTls,
    balancers: config.serve.proxyProtocolFrom,
    trustDomain: config.trustDomain,
    rules: compileRules(config.identity.rules),
    unsafeUnrecorded: config.identity.unsafeUnrecorded,
    store,
    accessLog: config.log.access,
    authString,
    enrolment: {
      tokens: config.enroll.tokens,
      issuers: config.enroll.issuers,
      est: config.enroll.est,
      lockOnReuse: config.renew.lockOnReuse,
      graceMs: config.renew.grace,
    },
    limits: config.serve.limits,
  };
}

function upstreamOf(text: string): { host: string; port: number } | { path: string } {
  const socket = parseSocketPath(text);
  if (socket !== null) return { path: socket };
  const url = new URL(text);
  return { host: url.hostname.replace(/^\[|\]$/g, ''), port: url.port === '' ? 80 : Number(url.port) };
}

/** The password that Prefect wants: from the environment, else from the file, without its last line end. */
export function authStringOf(config: Config): string | null {
  if (config.serve.authString !== null) return config.serve.authString;
  const file = config.serve.authStringFile;
  if (file === null) return null;
  const refuse = (problem: string, cause?: unknown): never => {
    throw new CertgateError('CG_AUTH_STRING_FILE', { file, problem }, { cause });
  };
  const text = readAuthString(file, refuse).replace(/\r?\n$/, '');
  if (text === '') refuse('is empty');
  // Prefect would refuse every request with it, and nobody would see why.
  if (/[\p{C}\p{Zl}\p{Zp}]/u.test(text)) refuse('has more than one line, or a character that cannot be seen');
  return text;
}

function readAuthString(file: string, refuse: (problem: string, cause?: unknown) => never): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(readFileSync(file));
  } catch (error) {
    return refuse(whyUnread(systemCode(error), error), error);
  }
}

/** The last net: a fault that would end the process is logged with its stack, and everyone else is served on. */
export function surviveFaults(log: Log): void {
  process.on('uncaughtException', (error) => log.error({ stack: error.stack }, 'fault: please report this'));
  process.on('unhandledRejection', (reason) => log.error({ reason: reasonOf(reason) }, 'fault: please report this'));
}
