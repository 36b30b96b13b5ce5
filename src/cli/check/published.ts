// Checks of `certgate ca check` about what a gate publishes: the revocation list of each issuer, held against the store,
// and the OCSP responder. Asked over plain HTTP, as any verifier would; where nothing is published there is nothing to ask.
import { agesOf } from '../../authority/ca-ages.ts';
import { STATUS_PATHS } from '../../authority/status-urls.ts';
import { bracketed, parseHostPort } from '../../config/address.ts';
import { roughDuration } from '../../config/duration.ts';
import { reasonOf } from '../../errors.ts';
import { readCertificate } from '../../pki/certificates.ts';
import { createOcspRequest, isSuccessful } from '../../pki/ocsp-request.ts';
import { isSignedBy, readCrlFrame, unlessUnreadable } from '../../pki/read-crl.ts';
import type { CaRecord } from '../../store/store.ts';
import { type Finding, failure, fine, skipped, warning } from '../doctor/finding.ts';
import type { Subject } from './subject.ts';

const TIMEOUT = 5_000;

export async function checkPublished(subject: Subject): Promise<Finding[]> {
  const { config, records, gateRuns, command } = subject;
  const { listen, url } = config.serve.status;
  if (listen === null) {
    return url === null
      ? [fine('revocation list', 'not published: gates go by the records')]
      : [
          failure(
            'revocation list',
            `certificates name ${url}, and serve.status.listen is not set`,
            command('serve --status-listen 0.0.0.0:8081'),
          ),
        ];
  }
  if (records === null) return [skipped('revocation list', 'the records could not be read')];
  const issuers = records.authorities.filter(({ role, state }) => role === 'issuer' && state !== 'retired');
  const base = addressOf(listen);
  if (gateRuns === false) {
    return [warning('revocation list', `no gate runs, so nothing is published at ${base}`, command('serve'))];
  }
  const findings: Finding[] = [];
  for (const issuer of issuers) findings.push(await checkList(issuer, base, subject));
  findings.push(await checkOcsp(issuers, base, subject));
  return findings;
}

/** Where a listener on every address is asked: on this machine. */
function addressOf(listen: string): string {
  const { host, port } = parseHostPort(listen) ?? { host: '127.0.0.1', port: 80 };
  const at = host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '::1' : host;
  return `http://${bracketed(at)}:${port}`;
}

async function checkList(issuer: CaRecord, base: string, { records, now, command }: Subject): Promise<Finding> {
  const name = `revocation list of issuer ${issuer.generation}`;
  const log = command('health');
  try {
    const answer = await ask(base + STATUS_PATHS.crl(issuer.keyId), null);
    if (answer.status !== 200) return failure(name, `is missing: HTTP ${answer.status}`, log);
    // Not each of what may be a million entries: how many there are is enough.
    const frame = unlessUnreadable(() => readCrlFrame(answer.body));
    const { thisUpdate, nextUpdate, revoked } = frame;
    if (!isSignedBy({ frame }, readCertificate(issuer.der).publicKey)) return failure(name, 'is not signed by it', log);
    const age = `${roughDuration(Math.max(0, now - thisUpdate.getTime()))} old`;
    if (nextUpdate === null || nextUpdate.getTime() <= now) return failure(name, `is stale: ${age}`, log);
    const known = records?.crls.get(issuer.keyId) ?? { number: 0, revoked: 0 };
    const number = Number.parseInt(frame.number ?? '0', 16);
    if (number < known.number) {
      return failure(name, `is number ${number}, the store has given ${known.number}: two publish it`, log);
    }
    if (revoked.length < known.revoked) {
      return failure(name, `names ${revoked.length} of ${known.revoked} that are revoked`, log);
    }
    const ends = `ends in ${roughDuration(nextUpdate.getTime() - now)}`;
    return fine(name, `number ${number}, ${age}, ${ends}, ${revoked.length} revoked`);
  } catch (error) {
    return failure(name, `${base}: ${reasonOf(error)}`, log);
  }
}

async function checkOcsp(
  issuers: readonly CaRecord[],
  base: string,
  { records, now, command }: Subject,
): Promise<Finding> {
  const issuer = issuers.find(({ state }) => state === 'active');
  if (issuer === undefined || agesOf([issuer], now)[0]?.standing === 'ended')
    return skipped('OCSP', 'no issuer answers');
  // A serial that nobody has is answered as well: unknown.
  const serial = records?.newestCertificates[0]?.serial ?? '01';
  try {
    const answer = await ask(base + STATUS_PATHS.ocsp, createOcspRequest(readCertificate(issuer.der), serial));
    if (answer.status === 200 && isSuccessful(answer.body)) return fine('OCSP', `${base}${STATUS_PATHS.ocsp} answers`);
    return failure('OCSP', `HTTP ${answer.status}, and no answer in it`, command('health'));
  } catch (error) {
    return failure('OCSP', `${base}: ${reasonOf(error)}`, command('health'));
  }
}

async function ask(url: string, request: Uint8Array | null): Promise<{ status: number; body: Uint8Array }> {
  const response = await fetch(url, {
    signal: AbortSignal.timeout(TIMEOUT),
    redirect: 'error',
    ...(request === null
      ? {}
      : { method: 'POST', body: new Uint8Array(request), headers: { 'content-type': 'application/ocsp-request' } }),
  });
  return { status: response.status, body: new Uint8Array(await response.arrayBuffer()) };
}
