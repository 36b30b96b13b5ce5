// A CA's generations as the tests of rotation see them: where it is, what its records say, what it trusts.

import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { CaPlace } from '../../src/authority/change.ts';
import { factsOf } from '../../src/pki/facts.ts';
import { type OpenCa, TRUST_DOMAIN } from './fixture.ts';

export const placeOf = ({ certsDir, store }: OpenCa): CaPlace => ({
  ...{ certsDir, store, trustDomain: TRUST_DOMAIN, actor: 'test' },
});
export const states = async ({ store }: OpenCa): Promise<string> =>
  (await store.listCa()).map(({ role, generation, state }) => `${role} ${generation} ${state}`).join(', ');
export const bundleOf = ({ certsDir }: OpenCa): string => readFileSync(join(certsDir, 'ca.crt'), 'utf8');
export const issuerOfLeaf = (pem: string): string => factsOf(new X509Certificate(pem)).issuer;
