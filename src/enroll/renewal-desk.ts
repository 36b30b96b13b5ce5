// Renewal at the gate: the holder of a certificate gets the next one, for a new key, with the same names and lifetime. The
// same key gets the same certificate again. A certificate whose successor somebody was let in with must not come back:
// when it does, or when two successors of one are both in use, there are two holders of one key, and one of them is a
// thief. Nobody can tell which, so the identity is locked, and both are cut, until a person has looked.

import { isIP } from 'node:net';
import { lockClients } from '../authority/locking.ts';
import { isCertgateError, reasonOf } from '../errors.ts';
import { factsOf, readCertificate, type SubjectAltName } from '../pki/facts.ts';
import type { CertificateRequest } from '../pki/requests.ts';
import type { CertificateRecord } from '../store/store.ts';
import type { Succession } from '../store/tokens.ts';
import { answerWith, type DeskAnswer, issued, keyHashOf, readRequestOrWhy } from './answers.ts';
import { limitAttempts } from './attempt-limit.ts';
import type { DeskParts, EnrollDesk, RenewalHolder, Ticker } from './contract.ts';
import { readDetail, readRenewRequest } from './wire.ts';

const LOOK = 'what renews at that address, and what certgate list --json says of the certificate with that serial';
/** An attribute that asks for another name than the certificate's (RFC 6402 §2.8). */
const CHANGE_SUBJECT_NAME = '1.3.6.1.5.5.7.7.36';
/**
 * Tries of one certificate and of all that took its place: that many at once, then one every so many ms. What is issued stays on
 * record for ever, and each successor can be renewed in its turn.
 */
const PER_CERTIFICATE = { burst: 20, everyMs: 10_000 } as const;

export function openRenewals(parts: DeskParts & { readonly ticker: Ticker }): Pick<EnrollDesk, 'renew' | 'seen'> {
  const { authority, store, policy, log, metrics, ticker, clock = Date.now } = parts;
  const tries = limitAttempts(PER_CERTIFICATE);

  const theft = async (identity: string, words: string): Promise<void> => {
    const now = clock();
    metrics.certificateReuse++;
    const look = `who has a copy of the key: certgate audit --identity ${identity}; then revoke ${identity} and enrol it anew`;
    const fields = { identity, reason: words, look, locked: policy.lockOnReuse };
    log.say('error', `reuse ${identity}`, fields, 'a superseded certificate was used again');
    const detail = { problem: words, locked: policy.lockOnReuse };
    const entry = { time: now, actor: 'gate', action: 'certificate.reuse', object: identity, detail };
    if (!(await store.flag({ identity, reason: words, flaggedAt: now }, null, entry))) await store.addAudit(entry);
    if (!policy.lockOnReuse) return;
    const target = { scope: 'identity', subject: identity } as const;
    await lockClients(store, { target, reason: words, forMs: null, actor: 'gate' }, now);
  };

  const seen: EnrollDesk['seen'] = async (serial) => {
    try {
      const succession = await store.unseenSuccession(serial);
      if (succession === null || !(await store.markSeen(serial, clock()))) return;
      const { replaces } = succession;
      const rival = (await store.successors(replaces)).find((one) => one.seenAt !== null && one.serial !== serial);
      if (rival === undefined) return;
      const [record] = await store.listCertificates({ serial, now: clock() });
      const words = `certificate ${replaces} was renewed twice, and both successors, ${rival.serial} and ${serial}, are in use: its key is in two places`;
      if (record !== undefined) await theft(record.identity, words);
    } catch (error) {
      log.say('warn', 'seen', { serial, reason: reasonOf(error) }, 'not noted that a renewed certificate is in use');
    }
  };

  const renew = async (csrPem: string, { serial, address, exactNames = false }: RenewalHolder): Promise<DeskAnswer> => {
    const csr = readRequestOrWhy(csrPem);
    if (typeof csr === 'string') return answerWith(400, csr);
    const now = clock();
    const [record] = await store.listCertificates({ serial, now });
    if (record === undefined) return answerWith(403, 'the certificate is not on record');
    const { identity } = record;
    if (record.profile !== 'client') return answerWith(403, 'only certificates of clients are renewed');
    if (record.revokedAt !== null) return answerWith(403, `the certificate of ${identity} was revoked`);
    if (record.renewable === false) {
      return answerWith(403, `the certificate of ${identity} is not renewed: get another with \`certgate login\``);
    }
    if (now >= record.notAfter + policy.graceMs) return answerWith(403, `the certificate of ${identity} has expired`);
    const otherwise = exactNames ? otherNamesThan(record, csr) : null;
    if (otherwise !== null) return answerWith(400, otherwise);
    // Who renews by a certificate uses it, also one that has ended and is let in for nothing else: a thief who came only so
    // would have no rival.
    await seen(serial);
    const keyHash = keyHashOf(csr);
    const successors = await store.successors(serial);
    const same = successors.findLast((one) => one.keyHash === keyHash);
    const standing = same === undefined ? null : await again(same, now);
    if (standing !== null) return standing;
    if (keyHash === keyHashOf(readCertificate(record.der))) {
      return answerWith(400, 'a renewal is for a new key, and this is the one of the present certificate');
    }
    const used = successors.find((one) => one.seenAt !== null);
    if (used !== undefined) {
      const words = `certificate ${serial} was renewed again from ${address} after its successor ${used.serial} was in use: its key is in two places`;
      await theft(identity, words);
      if (policy.lockOnReuse) return answerWith(403, `${identity} is locked: its certificate had been renewed before`);
    }
    const made = await authority.issue({
      identity,
      profile: 'client',
      ttlMs: record.wantedTtl ?? lifetimeOf(record),
      untilIssuerEnds: true,
      publicKey: csr.publicKey,
      ...namesIn(record),
      groups: record.groups ?? [],
      actor: identity,
      address,
      cause: { kind: 'renewal', replaces: serial, keyHash },
    });
    tries.share(serial, made.record.serial);
    metrics.renewed++;
    const late = now >= record.notAfter;
    if (late) {
      metrics.renewedInGrace++;
      const problem = `renewed ${Math.round((now - record.notAfter) / 1000)} s after its end`;
      const detail = { serial, successor: made.record.serial, address, problem };
      await store.addAudit({
        time: now,
        actor: identity,
        action: 'certificate.renew-in-grace',
        object: identity,
        detail,
      });
    }
    log.say('info', 'renewed', { identity, serial: made.record.serial, replaces: serial, late }, 'renewed');
    return issued(identity, made.chainPem, authority);
  };

  /** Null for one that has ended before anybody used it: its answer was lost, and who asks again gets another. */
  const again = async ({ serial, seenAt }: Succession, now: number): Promise<DeskAnswer | null> => {
    const [record] = await store.listCertificates({ serial, now });
    if (record === undefined || record.revokedAt !== null) return answerWith(403, 'the next certificate was revoked');
    if (now >= record.notAfter && seenAt === null) return null;
    return issued(record.identity, authority.chainFor(record), authority);
  };

  /** Who shows a certificate and may not renew it: what an operator asks about afterwards. */
  const recordRefusal = async (problem: string, { serial, address }: RenewalHolder): Promise<void> => {
    const now = clock();
    const [record] = await store.listCertificates({ serial, now });
    const identity = record?.identity ?? 'unknown';
    const detail = { serial, address, problem };
    await store.addAudit({
      time: now,
      actor: identity,
      action: 'certificate.refuse-renewal',
      object: identity,
      detail,
    });
  };

  return {
    async renew(body, holder) {
      const started = ticker.now();
      if (!tries.may(holder.serial, started)) return answerWith(429, 'too many renewals of one certificate');
      tries.count(holder.serial, started);
      const csr = readRenewRequest(body);
      if (csr === null) return answerWith(400, 'that is no renewal request');
      try {
        const answer = await renew(csr, holder);
        if (answer.status !== 200) {
          const reason = readDetail(answer.text).replace(/^certgate: /, '');
          if (answer.status === 403) await recordRefusal(reason, holder);
          log.say(
            'warn',
            `renew refused ${holder.serial}`,
            { ...aboutOf(holder), reason, look: LOOK },
            'renewal refused',
          );
        }
        return answer;
      } catch (error) {
        const fields = { ...aboutOf(holder), reason: reasonOf(error), look: LOOK };
        log.say('warn', `renew ${holder.serial}`, fields, 'renewal failed');
        if (isCertgateError(error, 'CG_LOCKED')) return answerWith(403, 'the identity is locked');
        if (isCertgateError(error, 'CG_RENEW_REFUSED')) return answerWith(403, 'the certificate is revoked or locked');
        if (isCertgateError(error, 'CG_KEY_BARRED')) return answerWith(403, 'that key is known, and not certified');
        return answerWith(503, 'the gate cannot issue now; try again');
      }
    },
    seen,
  };
}

function aboutOf({ serial, address }: RenewalHolder) {
  return { serial, address };
}

/** What it was issued with, ms: its end is a whole second, so what was cut off is put back. */
function lifetimeOf({ issuedAt, notAfter }: CertificateRecord): number {
  return Math.ceil((notAfter - issuedAt) / 1000) * 1000;
}

/** How a request's names are not those of the certificate; null when they are. */
function otherNamesThan({ der }: CertificateRecord, csr: CertificateRequest): string | null {
  const facts = factsOf(readCertificate(der));
  const words = (names: readonly SubjectAltName[]): string =>
    names
      .map(({ type, value }) => `${type}:${value}`)
      .toSorted((one, other) => (one < other ? -1 : 1))
      .join('\n');
  if (csr.attributes.includes(CHANGE_SUBJECT_NAME))
    return 'a new name wants a new certificate: enrol with a token for it';
  const same =
    JSON.stringify(csr.subject) === JSON.stringify(facts.subject) &&
    words(csr.subjectAltNames) === words(facts.subjectAltNames);
  if (same) return null;
  const subject = facts.subject.map(([attribute, value]) => `${attribute}=${value}`).join(', ');
  const alternative = facts.subjectAltNames.map(({ type, value }) => `${type}:${value}`).join(',');
  return `a renewal has the subject and the subjectAltName of the certificate: ${subject}; ${alternative}`;
}

/** The further names that it has. */
function namesIn({ der }: CertificateRecord): { readonly dns: readonly string[]; readonly ip: readonly string[] } {
  const names = factsOf(readCertificate(der)).subjectAltNames;
  return {
    dns: names.filter(({ type }) => type === 'DNS').map(({ value }) => value),
    ip: names.filter(({ type, value }) => type === 'IP' && isIP(value) !== 0).map(({ value }) => value),
  };
}
