// What a gate listens on besides its own port, each only where it is configured, and loaded only then: revocations published
// over plain HTTP, and enrolment for those who have no certificate yet.

import type { Authority } from '../authority/authority.ts';
import { bracketed, parseHostPort } from '../config/address.ts';
import type { Config } from '../config/schema.ts';
import type { EnrolmentPlace } from '../inbound/enrolment-listener.ts';
import type { Publishing } from '../inbound/status/answers.ts';
import type { PlainListener } from '../inbound/status/plain-listener.ts';
import type { Log } from '../observe/log.ts';
import type { Store } from '../store/store.ts';

/** What is published of the issuers, where some listener gives it out. */
export async function publishingOf(
  { serve: { status }, enroll }: Config,
  store: Store,
  authority: Authority,
  told: { readonly log: Log; readonly started: Promise<void> },
): Promise<Publishing | null> {
  if (status.listen === null && enroll.listen === null) return null;
  const { startPublishing } = await import('../inbound/status/answers.ts');
  return startPublishing({ url: status.url, store, issuers: () => authority.ca.issuers, ...told });
}

/** CG_LISTEN. */
export async function startStatus(
  { serve: { status } }: Config,
  publishing: Publishing | null,
  log: Log,
): Promise<PlainListener | null> {
  const where = status.listen === null ? null : parseHostPort(status.listen);
  if (where === null || publishing === null) return null;
  const { startPlainListener } = await import('../inbound/status/plain-listener.ts');
  const listener = await startPlainListener({ ...where, flag: '--status-listen' }, publishing);
  log.info({ address: `${bracketed(where.host)}:${listener.port}`, url: status.url }, 'publishing revocations');
  return listener;
}

export function enrolmentPlaceOf({ enroll }: Config, publishing: Publishing | null): EnrolmentPlace | null {
  const where = enroll.listen === null ? null : parseHostPort(enroll.listen);
  return where === null || publishing === null ? null : { ...where, publishing };
}
