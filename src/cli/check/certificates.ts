// Checks of `certgate ca check` about the CA's own certificates: how long they last, where a rotation stands, whether files
// and records say the same.

import { X509Certificate } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { agesOf, type CaAge } from '../../authority/ca-ages.ts';
import { leftoversIn } from '../../authority/files.ts';
import { isMadeHere } from '../../authority/generations.ts';
import { caFiles, generationFiles } from '../../authority/layout.ts';
import { rotationTime } from '../../authority/rotate.ts';
import { below, rootOf, trustIn } from '../../authority/trust.ts';
import { roughDuration } from '../../config/duration.ts';
import { fileReason, shellWord } from '../../errors.ts';
import { readCertificate } from '../../pki/certificates.ts';
import type { CaRecord } from '../../store/store.ts';
import { type Finding, failure, fine, warning } from '../doctor/finding.ts';
import { copyBack, DAY, type Subject, someOf } from './subject.ts';

/** How long a step of a rotation may wait for the next before it looks forgotten, ms. */
const STEP_WAITS = 7 * DAY;

/** Nothing when the store could not be read. */
export function checkCertificates(subject: Subject): Finding[] {
  const { records, now } = subject;
  if (records === null) return [];
  const { authorities } = records;
  if (authorities.length === 0) {
    const found = 'the store does not know the CA yet: it is of an older certgate';
    return [warning('certificates', found, subject.command('ca status'))];
  }
  const ages = agesOf(authorities, now);
  return [
    ...ages.map((age) => checkAge(age, subject)),
    ...checkActive(authorities, subject),
    ...checkSteps(authorities, subject),
    ...checkFiles(authorities, subject),
  ];
}

function checkAge({ record, name, notBefore, notAfter, standing }: CaAge, subject: Subject): Finding {
  const left = notAfter - subject.now;
  const until = left > 0 ? `ends in ${roughDuration(left)}` : `ended at ${new Date(notAfter).toISOString()}`;
  const remedy = replacing(record, subject);
  switch (standing) {
    case 'good':
      return fine(name, `${record.state}, ${until}`);
    case 'due': {
      const late = roughDuration(subject.now - rotationTime(record));
      return warning(name, `should have been rotated ${late} ago; ${until}`, remedy);
    }
    case 'near':
      return warning(name, `${until}, in the last tenth of its lifetime: what it issues expires with it`, remedy);
    case 'close':
      return failure(name, `${until}, in the last fiftieth of its lifetime`, remedy);
    case 'ended':
      return failure(name, `${until}: nobody trusts what it signed`, remedy);
    default: // ahead
      return failure(name, `is valid only from ${new Date(notBefore).toISOString()}`, 'timedatectl set-ntp true');
  }
}

/** What puts another in its place. */
export function replacing(record: CaRecord, { config, records, command }: Subject): string {
  const authorities = records?.authorities ?? [];
  const root = record.role === 'root' ? record : rootOf(authorities, record);
  const own = root !== null && isMadeHere(root, readCertificate(root.der), config.trustDomain);
  if (record.role === 'root') return own ? command('ca rotate root prepare') : command('ca csr');
  if (!own) return command('ca csr');
  const { key } = generationFiles(config.certsDir, root);
  try {
    readFileSync(key);
    return command('ca rotate issuer');
  } catch {
    return command('ca rotate issuer --root-key /media/vault/root.key');
  }
}

function checkActive(authorities: readonly CaRecord[], { command }: Subject): Finding[] {
  if (authorities.some(({ role, state }) => role === 'issuer' && state === 'active')) return [];
  const found = 'none is active: its certificate has not been imported yet, and nothing can be issued';
  return [failure('issuer', found, command('ca csr'))];
}

// A rotation that was begun and not ended.
function checkSteps(authorities: readonly CaRecord[], { now, records, command }: Subject): Finding[] {
  const findings: Finding[] = [];
  for (const root of authorities.filter(({ role }) => role === 'root')) {
    const waits = now - root.changedAt;
    const name = `rotation to root ${root.generation}`;
    if (root.state === 'prepared') {
      const found = `prepared ${roughDuration(Math.max(0, waits))} ago, and not activated`;
      const next = command('ca rotate root activate');
      findings.push(waits > STEP_WAITS ? warning(name, found, next) : fine(name, found));
    }
    if (root.state !== 'retiring') continue;
    const issuers = below(authorities, root).filter(({ role }) => role === 'issuer');
    const live = issuers.reduce((sum, { keyId }) => sum + (records?.liveIdentities.get(keyId) ?? 0), 0);
    const gone = `root ${root.generation} is still trusted`;
    const retirement = `retirement of root ${root.generation}`;
    if (live > 0) findings.push(fine(retirement, `${gone}: ${live} identities have a certificate below it`));
    else if (waits <= STEP_WAITS) findings.push(fine(retirement, `${gone}, for ${roughDuration(Math.max(0, waits))}`));
    else findings.push(warning(retirement, `${gone}, and nobody needs it`, command('ca rotate root retire')));
  }
  return findings;
}

function checkFiles(authorities: readonly CaRecord[], subject: Subject): Finding[] {
  const { certsDir, stateDir, file, dir } = subject.config;
  const findings: Finding[] = [];
  const known = new Set<string>();
  for (const record of authorities) {
    const { certificate, key } = generationFiles(certsDir, record);
    for (const path of [certificate, key]) known.add(path);
    if (record.state === 'retired') continue;
    const back = copyBack(certificate, subject) ?? subject.command('ca status');
    try {
      const same = new X509Certificate(readFileSync(certificate)).raw.equals(record.der);
      if (!same) findings.push(failure('file', `${certificate} is not the certificate that the records have`, back));
    } catch (error) {
      findings.push(failure('file', `${certificate}: ${fileReason(error)}`, back));
    }
  }
  try {
    const odd = readdirSync(certsDir)
      .filter((name) => /^(root|intermediate|issuer)(-\d+)?\.(crt|key)$/.test(name))
      .map((name) => join(certsDir, name))
      // A key beside its request waits for its certificate.
      .filter((path) => !known.has(path) && !(path.endsWith('.key') && existsSync(path.replace(/key$/, 'csr'))));
    if (odd.length > 0) {
      const found = `${someOf(odd)}: not on record, as after a kill; nothing is signed with it`;
      const aside = shellWord(join(certsDir, 'aside'));
      const remedy = `mkdir -p -m 700 ${aside} && mv ${odd.map(shellWord).join(' ')} ${aside}`;
      findings.push(warning('file', found, remedy));
    }
    const left = [...new Set([certsDir, stateDir, ...(file === null ? [] : [dir])])].flatMap(leftoversIn);
    if (left.length > 0) {
      const found = `${someOf(left)}: left by a command that was killed, and may hold keys; nothing uses it`;
      findings.push(warning('file', found, `rm -r ${left.map(shellWord).join(' ')}`));
    }
    const bundle = caFiles(certsDir).bundle;
    if (readFileSync(bundle, 'utf8') !== trustIn(authorities).bundlePem) {
      const found = `${bundle} is not the current trust bundle: a gate writes it when it starts`;
      findings.push(warning('file', found, subject.command('serve')));
    }
  } catch (error) {
    findings.push(failure('file', `${certsDir}: ${fileReason(error)}`, `ls -la ${shellWord(certsDir)}`));
  }
  if (findings.length === 0) findings.push(fine('files', `${certsDir} and the records agree`));
  return findings;
}
