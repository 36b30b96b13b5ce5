// `certgate signer`: a process that keeps the issuer's key, in a file or in a PKCS#11 token, and signs for the gate over
// a unix socket. A gate that is taken over can then have leaves signed while it lasts, and never takes the key away.
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { Command } from 'commander';
import { type ServedKey, serveSigner } from '../admin/signer-server.ts';
import { openKeyStore } from '../authority/key-store.ts';
import { passphraseFile } from '../authority/passphrase.ts';
import { parseSocketPath } from '../config/address.ts';
import type { Config } from '../config/schema.ts';
import { CertgateError, isCertgateError, shown } from '../errors.ts';
import { parseTrustDomain } from '../identity/name.ts';
import { flushLog, type Log, openLog } from '../observe/log.ts';
import { readCertificate } from '../pki/certificates.ts';
import { onOneLine } from '../pki/names.ts';
import { keyName } from '../pki/public-keys.ts';
import { trustDomainsOf } from '../pki/signable.ts';
import type { Signer } from '../pki/signing.ts';
import { collect, durationFlag, usage } from './flags.ts';
import { describe } from './help.ts';
import type { CommandIo } from './io.ts';
import { readNamed } from './named-file.ts';
import { configuredPassphrase, promptedPassphrase } from './passphrase.ts';
import { configOf, withSettings } from './settings.ts';
import { hearStop } from './signals.ts';

interface Flags {
  readonly listen: string;
  readonly key?: readonly string[];
  readonly cert?: readonly string[];
  readonly pkcs11?: string;
  readonly pkcs11Module?: string;
  readonly pinFile?: string;
  readonly trustDomain?: string;
  readonly maxTtl: string;
}

export function signerCommand(io: CommandIo): Command {
  const command = describe(
    new Command('signer'),
    "hold the issuer's key outside the gate, and sign for it over a socket",
    {
      examples: [
        [
          'with the key and the certificate of the issuer, issuer.key and issuer.crt',
          'certgate signer --key /etc/certgate-signer/issuer.key --listen unix:/run/certgate/signer.sock',
        ],
        ['the gate, which then reads no issuer.key', 'certgate serve --signer unix:/run/certgate/signer.sock'],
        [
          'a key in a PKCS#11 token',
          "certgate signer --pkcs11 'pkcs11:token=ca;object=issuer' --pkcs11-module /usr/lib/softhsm/libsofthsm2.so --pin-file pin --cert issuer.crt --listen unix:/run/certgate/signer.sock",
        ],
      ],
      notes: [
        'it signs leaf certificates of the trust domain, CRLs, OCSP responses and a request for its own key, but never a CA. It logs each signature.',
        'whoever can open the socket (mode 0600) can get signatures: run gate and signer as the same user, or as two with an ACL.',
        'the protocol is in docs/signer.md.',
      ],
    },
  );
  withSettings(command, ['ca.passphraseFile', 'log.level'])
    .requiredOption('--listen <ADDRESS>', 'the socket, unix:/path')
    .option('--key <FILE>', "an issuer's private key (PEM, encrypted or not); may be repeated", collect)
    .option(
      '--cert <FILE>',
      "its certificate (default: the key's name with .crt); may be repeated, in the same order",
      collect,
    )
    .option(
      '--pkcs11 <URI>',
      'a key in a PKCS#11 token (RFC 7512): pkcs11:token=…;object=… or ;id=%01; needs pkcs11-tool (OpenSC)',
    )
    .option('--pkcs11-module <FILE>', "the token's library")
    .option('--pin-file <FILE>', "file with the token's PIN (mode 0600)")
    .option(
      '--trust-domain <NAME>',
      "the only trust domain to sign for (default: that of the issuer's name constraint)",
    )
    .option('--max-ttl <DURATION>', 'the longest lifetime of a certificate', '7d');
  return command.action(async (flags: Flags) => {
    const path = parseSocketPath(flags.listen);
    if (path === null)
      throw usage(
        `--listen is ${shown(flags.listen)}, not a unix socket`,
        'write it like unix:/run/certgate/signer.sock',
      );
    const maxTtl = durationFlag('--max-ttl', flags.maxTtl);
    const config = configOf(command, io);
    const log = openLog({ level: config.log.level });
    const keys = await keysOf(flags, config, maxTtl, io, log);
    const stop = hearStop();
    const signer = await serveSigner({ path: resolve(io.cwd, path), keys, log });
    for (const {
      signer: { publicKey },
      rules,
    } of keys) {
      const issuer = rules.certificate === null ? null : onOneLine(rules.certificate.subject);
      log.info({ kind: keyName(publicKey), issuer, trustDomains: rules.trustDomains, maxTtlMs: maxTtl }, 'holds a key');
    }
    log.info({ socket: path }, 'listening');
    await stop.until(async (signal) => {
      log.info({ signal }, 'stopping');
      await signer.close();
    });
    log.info('stopped');
    await flushLog(log);
  });
}

async function keysOf(
  flags: Flags,
  config: Config,
  maxTtl: number,
  io: CommandIo,
  log: Log,
): Promise<readonly ServedKey[]> {
  const { key: files = [], cert: certificates = [], pkcs11 } = flags;
  if (files.length === 0 && pkcs11 === undefined) throw usage('no key', 'name one: --key FILE, or --pkcs11 URI');
  const store = openKeyStore({
    passphrase: configuredPassphrase(config, config.ca.passphraseFile, io),
    prompt: promptedPassphrase('passphrase of the key: ', io),
    warn: (sentence) => log.warn(sentence),
  });
  const keys: ServedKey[] = [];
  for (const [i, file] of files.entries()) {
    const path = resolve(io.cwd, file);
    const beside = path.replace(/\.key$/, '.crt');
    const certificate = certificates[i] ?? (beside !== path && existsSync(beside) ? beside : null);
    const signer = await store.read(path).catch((error: unknown) => {
      if (!isCertgateError(error, 'CG_CA_FILE')) throw error;
      throw new CertgateError(
        'CG_CA_FILE',
        { remedy: 'name the file of the key: --key FILE', ...error.facts },
        { cause: error },
      );
    });
    keys.push(served(signer, path, certificate, { flags, maxTtl, io }));
  }
  if (pkcs11 !== undefined) {
    const { openPkcs11Key } = await import('../authority/pkcs11.ts');
    const { pkcs11Module: module, pinFile } = flags;
    if (module === undefined)
      throw usage('no --pkcs11-module', 'name the library, e.g. /usr/lib/softhsm/libsofthsm2.so');
    const pin = pinFile === undefined ? null : passphraseFile(resolve(io.cwd, pinFile));
    const file = certificates[files.length] ?? null;
    const publicKey = file === null ? undefined : readCertificate(readNamed(file, io)).publicKey;
    const signer = await openPkcs11Key({ uri: pkcs11, module, pin, publicKey });
    keys.push(served(signer, pkcs11, file, { flags, maxTtl, io }));
  }
  return keys;
}

/** CG_CA_MISMATCH when key and certificate don't belong together; CG_CERT_UNREADABLE, CG_PEM. */
function served(
  signer: Signer,
  key: string,
  certificateFile: string | null,
  { flags, maxTtl, io }: { readonly flags: Flags; readonly maxTtl: number; readonly io: CommandIo },
): ServedKey {
  const certificate = certificateFile === null ? null : readCertificate(readNamed(certificateFile, io));
  if (certificate !== null && !certificate.publicKey.equals(signer.publicKey)) {
    const problem = `${key} is not the key of ${certificateFile ?? ''}`;
    throw new CertgateError('CG_CA_MISMATCH', { problem, remedy: 'name the certificate of the key: --cert FILE' });
  }
  const trustDomains =
    flags.trustDomain === undefined
      ? certificate === null
        ? []
        : trustDomainsOf(certificate)
      : [parseTrustDomain(flags.trustDomain)];
  if (certificate !== null && trustDomains.length === 0) {
    throw usage(
      `${certificateFile ?? ''} permits every trust domain`,
      'say which one to sign for: --trust-domain NAME',
    );
  }
  const beside = certificateFile === null ? null : join(dirname(resolve(io.cwd, certificateFile)), 'ca.crt');
  const bundle = async (): Promise<string | null> =>
    beside === null ? null : readFile(beside, 'utf8').catch(() => null);
  return { signer, rules: { certificate, trustDomains, maxTtl }, bundle };
}
