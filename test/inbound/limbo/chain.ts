// The cases of x509-limbo (cases.json, made by generate.py) and a handshake with what a gate verifies clients with: its
// secure context, its reader and its admission. Identity and records are taken for granted, so that it is the chain and
// the certificate alone that decide.
import { createECDH, createHash, createPrivateKey } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect, createServer, type TLSSocket } from 'node:tls';
import { requireAbove } from '../../../src/authority/ca-fitness.ts';
import { readGivenChain } from '../../../src/authority/given-root.ts';
import { lockTable } from '../../../src/authority/lock-table.ts';
import { isCertgateError } from '../../../src/errors.ts';
import { compileRules } from '../../../src/identity/identify.ts';
import { type AdmissionRules, admit } from '../../../src/inbound/admission.ts';
import { createClientReader } from '../../../src/inbound/client-reader.ts';
import { installContext, secureContext } from '../../../src/inbound/listener.ts';
import type { ClientTrust } from '../../../src/inbound/server-certificate.ts';
import { derToPem, readCertificate } from '../../../src/pki/certificates.ts';
import { bind } from '../../../src/proxy/connection-set.ts';
import { portOf } from '../../proxy/plain-proxy.ts';

export interface LimboCase {
  readonly id: string;
  readonly expected: 'SUCCESS' | 'FAILURE';
  /** The number of the leaf's key. */
  readonly key: number;
  /** These count certificates. */
  readonly peer: number;
  readonly intermediates: readonly number[];
  readonly trusted: readonly number[];
}

interface Corpus {
  readonly commit: string;
  readonly leftOut: Readonly<Record<string, string>>;
  readonly cases: readonly LimboCase[];
  /** DER, base64. */
  readonly certificates: readonly string[];
}

export const corpus = JSON.parse(readFileSync(new URL('cases.json', import.meta.url), 'utf8')) as Corpus;

const ORDER_P256 = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;
const pemOf = (numbers: readonly number[]): string =>
  numbers.map((n) => derToPem(Buffer.from(corpus.certificates[n] ?? '', 'base64'), 'CERTIFICATE')).join('');

/** The key that generate.py derived, no secret. */
function keyOf({ id, key }: LimboCase): string {
  const hash = createHash('sha256').update(`certgate limbo ${id} ${key}`).digest('hex');
  const d = Buffer.from((BigInt(`0x${hash}`) % ORDER_P256).toString(16).padStart(64, '0'), 'hex');
  const pair = createECDH('prime256v1');
  pair.setPrivateKey(d);
  const point = pair.getPublicKey();
  const [x, y] = [point.subarray(1, 33), point.subarray(33)].map((octets) => octets.toString('base64url'));
  const jwk = { kty: 'EC', crv: 'P-256', d: d.toString('base64url'), x: x ?? '', y: y ?? '' };
  return createPrivateKey({ key: jwk, format: 'jwk' }).export({ type: 'pkcs8', format: 'pem' });
}

const trustOf = (limbo: LimboCase): ClientTrust => ({
  // Any CA of the case counts as an issuer of ours: which of them is one, limbo does not say
  issuersPem: pemOf([...limbo.intermediates, ...limbo.trusted]),
  issuers: [],
  bundlePem: pemOf(limbo.trusted),
  bundleId: '',
  bundleNumber: 1,
  bundleSignature: '',
});

function admissionFor(limbo: LimboCase): AdmissionRules {
  const reader = createClientReader(compileRules([{ from: 'spiffe' }]), 'test.internal', trustOf(limbo));
  return {
    store: { standing: async () => null, location: 'nowhere' } as unknown as AdmissionRules['store'],
    unsafeUnrecorded: true,
    locks: () => lockTable([]),
    read(certificate) {
      const read = reader.certificate(certificate);
      return read === null
        ? null
        : { ...read, who: { ok: true, identity: 'worker/limbo', rule: 'taken for granted', groups: [], values: [] } };
    },
  };
}

/** What a gate with the case's trust anchors says to its client: `admitted`, or why not. */
export async function verdictOn(limbo: LimboCase, credentials: { keyPem: string; chainPem: string }): Promise<string> {
  const admission = admissionFor(limbo);
  const settings = secureContext({ ...credentials, serial: '', notBefore: 0, notAfter: 0 }, trustOf(limbo), '1.3');
  const server = createServer({ ...settings, requestCert: true, rejectUnauthorized: false });
  installContext(server, settings);
  await bind(server, { host: '127.0.0.1', port: 0 });
  const decided = new Promise<string>((resolve) => {
    server.on('secureConnection', (socket: TLSSocket) => {
      socket.on('error', () => {});
      admit(socket, admission).then(
        (client) => resolve(client.ok ? 'admitted' : `${client.code}: ${client.reason}`),
        (error: unknown) => resolve(`threw ${String(error)}`),
      );
    });
    server.on('tlsClientError', (error) => resolve(`handshake failed: ${error.message}`));
  });
  const client = connect({
    host: '127.0.0.1',
    port: portOf(server),
    cert: pemOf([limbo.peer, ...limbo.intermediates]),
    key: keyOf(limbo),
    rejectUnauthorized: false,
  });
  client.on('error', () => {});
  try {
    return await decided;
  } finally {
    client.destroy();
    server.close();
    await once(server, 'close');
  }
}

/**
 * Why the door would not let in the CAs of the case, a company's root and the CAs between it and the leaf; null when it
 * would. A root is asked about as one of its own file, what is below it as standing right above the leaf, whatever its path length.
 */
export async function doorOn({ id, trusted, intermediates }: LimboCase): Promise<string | null> {
  const fit = { trustDomain: 'test.internal', now: Date.now(), file: id };
  try {
    for (const root of trusted) await readGivenChain(pemOf([root]), fit);
    for (const pem of intermediates.map((one) => pemOf([one]))) await requireAbove(readCertificate(pem), 0, fit);
    return null;
  } catch (error) {
    if (isCertgateError(error, 'CG_CA_GIVEN')) return error.message;
    throw error;
  }
}
