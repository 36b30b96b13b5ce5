import { expect, onTestFinished, test } from 'vitest';
import type { Authority } from '../../src/authority/authority.ts';
import { activateRoot, prepareRoot, retireRoot } from '../../src/authority/rotate.ts';
import { openStandingCredentials, type Standing } from '../../src/inbound/standing-credentials.ts';
import { openCa, TRUST_DOMAIN } from '../authority/fixture.ts';
import { eventually } from '../e2e/harness/eventually.ts';
import { quietLog } from '../observe/quiet-log.ts';

test('who is trusted no more is let in no more, though the signer is away that vouches for the new bundle', async () => {
  const { certsDir, store, authority } = await openCa();
  let away = false;
  const signed = Object.create(authority, {
    ca: {
      get: () => {
        const { ca } = authority;
        const refuse = () => Promise.reject(new Error('the signer is away'));
        return away ? { ...ca, issuer: { ...ca.issuer, signer: { ...ca.issuer.signer, sign: refuse } } } : ca;
      },
    },
  }) as Authority;
  const caPlace = { certsDir, store, trustDomain: TRUST_DOMAIN, actor: 'gate' };
  const options = { authority: signed, caPlace, names: ['localhost'], serverTtl: 3_600_000, log: quietLog };
  const standing = await openStandingCredentials(options);
  const installed: Standing[] = [];
  onTestFinished(standing.keep((one) => void installed.push(one)));
  await prepareRoot(caPlace);
  await activateRoot(caPlace, true);
  const both = await eventually('both issuers are trusted', () =>
    installed.find(({ trust }) => trust.issuers.length === 2 && trust.bundleNumber > 0),
  );
  away = true;
  const once = installed.length;
  // As if the old one's leaves had ended.
  await retireRoot({ ...caPlace, clock: () => Date.now() + 10 * 86_400_000 });
  const alone = await eventually('one is', () => installed.slice(once).find(({ trust }) => trust.issuers.length === 1));
  // What clients are to trust stays as it was vouched for.
  expect(alone.trust.bundleId).toBe(both.trust.bundleId);
  away = false;
  await eventually('it is vouched for', () => installed.at(-1)?.trust.bundleId !== both.trust.bundleId || undefined);
  expect(installed.at(-1)?.trust.bundlePem).toBe(authority.bundlePem);
});
