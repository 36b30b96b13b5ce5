// certgate inspect: what a file holds, or what a TLS server shows, and what certgate makes of it. Reads only; a private
// key is named and never shown. Everything comes from others, so everything is escaped.
import { existsSync, readFileSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { Command } from 'commander';
import { type HostAndPort, parseHostPort, parseOrigin } from '../config/address.ts';
import type { Config } from '../config/schema.ts';
import { CertgateError, isCertgateError } from '../errors.ts';
import { compileRules, identify } from '../identity/identify.ts';
import { factsOf } from '../pki/facts.ts';
import { printableJson } from './escape.ts';
import { describe } from './help.ts';
import { certificateItem, describeBytes, type Item, readForInspection } from './inspect-file.ts';
import { lookAtPeer, type PeerOptions } from './inspect-peer.ts';
import { describedLines, type Meaning, peerLines } from './inspect-words.ts';
import type { CommandIo } from './io.ts';
import { naming } from './named-file.ts';
import { configOf, withSettings } from './settings.ts';

/** A revocation list of 300,000 entries; what is no list is far smaller. */
const LARGEST_INPUT = 16_777_216;

export function inspectCommand(io: CommandIo): Command {
  const command = describe(
    new Command('inspect'),
    'show a certificate, request, revocation list, key or TLS server, and its identity',
    {
      examples: [
        ['a certificate and its chain', 'certgate inspect worker-etl-1/tls.crt'],
        ['a gate, without verifying it', 'certgate inspect gate.example:8443'],
        ['a gate, verified, and as a worker', 'certgate inspect gate.example:8443 --identity ./worker-etl-1'],
        ['a signing request from a pipe', 'openssl req -new -key tls.key -subj /CN=etl-1 | certgate inspect -'],
      ],
      notes: [
        'inspect connects to a server even if verification fails; with --ca or --identity it says whether it would succeed.',
      ],
    },
  )
    .argument('<WHAT>', 'a file (PEM or DER), - for standard input, or host:port')
    .option('--json', 'print JSON');
  return withSettings(command, ['connect.identityDir', 'connect.ca', 'connect.serverName']).action(
    async (what: string, options: { json?: true }) => {
      const settings = { config: configOf(command, io), json: options.json === true, io };
      if (what === '-') return inspectFile(what, await readInput(io), settings);
      const peer = existsSync(resolve(io.cwd, what)) ? null : (parseHostPort(what) ?? parseOrigin(what, 'https'));
      return peer === null ? inspectFile(what, readNamed(what, io), settings) : await inspectPeer(what, peer, settings);
    },
  );
}

interface Settings {
  readonly config: Config;
  readonly json: boolean;
  readonly io: CommandIo;
}

interface Source {
  readonly bytes: Uint8Array;
  /** Mode of the file, e.g. `0600`; null for standard input. */
  readonly mode: string | null;
}

async function readInput(io: CommandIo): Promise<Source> {
  return { bytes: await io.input(LARGEST_INPUT), mode: null };
}

function readNamed(what: string, io: CommandIo): Source {
  const path = resolve(io.cwd, what);
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat === undefined) throw cannotInspect(what, 'is neither an existing file nor host:port');
  if (stat.isDirectory()) throw cannotInspect(what, 'is a folder: name a file in it, such as tls.crt');
  return readForInspection(path);
}

function inspectFile(what: string, { bytes, mode }: Source, settings: Settings): void {
  const items = withMeanings(describeBytes(bytes, what), settings.config);
  if (settings.json) settings.io.out(printableJson({ source: what, kind: 'file', mode, items: items.map(asJson) }, 2));
  else print(items, mode, settings.io);
}

async function inspectPeer(what: string, peer: HostAndPort, { config, json, io }: Settings): Promise<void> {
  const report = await lookAtPeer(peerOptions(peer, config));
  const items = withMeanings(report.chain.map(certificateItem), config);
  if (json) {
    const { chain: _chain, ...rest } = report;
    return io.out(printableJson({ source: what, kind: 'server', ...rest, chain: items.map(asJson) }, 2));
  }
  for (const line of peerLines(what, report)) io.out(line);
  io.out('');
  print(items, null, io);
}

function print(items: readonly Meant[], mode: string | null, io: CommandIo): void {
  for (const [index, { described, meaning }] of items.entries()) {
    if (index > 0) io.out('');
    for (const line of describedLines(described, meaning, mode)) io.out(line);
  }
}

interface Meant extends Item {
  readonly meaning: Meaning | null;
}

/** What certgate makes of each certificate that is no CA's. */
function withMeanings(items: readonly Item[], config: Config): Meant[] {
  const rules = compileRules(config.identity.rules);
  return items.map((item) => {
    if (item.certificate === null || item.certificate.ca) return { ...item, meaning: null };
    try {
      return { ...item, meaning: identify(factsOf(item.certificate), rules, config.trustDomain) };
    } catch (error) {
      if (!isCertgateError(error)) throw error;
      return { ...item, meaning: { ok: false, code: error.code, reason: error.message } };
    }
  });
}

function asJson({ described, meaning }: Meant): object {
  return meaning === null ? described : { ...described, certgate: meaning };
}

function peerOptions({ host, port }: HostAndPort, { connect }: Config): PeerOptions {
  const { identityDir, serverName, limits } = connect;
  const inDir = (name: string) => (identityDir === null ? null : join(identityDir, name));
  const [ca, cert, key] = [
    connect.ca ?? inDir('ca.crt'),
    connect.cert ?? inDir('tls.crt'),
    connect.key ?? inDir('tls.key'),
  ];
  const text = (file: string): string => naming(file, () => readFileSync(file, 'utf8'));
  return {
    host,
    port,
    ca: ca === null ? null : text(ca),
    identity: cert === null || key === null ? null : { cert: text(cert), key: text(key) },
    serverName,
    timeout: limits.handshake,
  };
}

function cannotInspect(what: string, problem: string): CertgateError<'CG_INSPECT'> {
  return new CertgateError('CG_INSPECT', { what, problem });
}
