// For tests of the record: an issuer's key, what it signs, and who judges that.

import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { START } from '../../src/observe/audit-chain.ts';
import type { Checkpoint } from '../../src/observe/audit-checkpoint.ts';
import type { Retirement, Retiring } from '../../src/observe/audit-retirement.ts';
import type { RotationRules } from '../../src/observe/audit-rotation.ts';
import type { Signing } from '../../src/observe/audit-signing.ts';
import type { Upkeep } from '../../src/observe/audit-upkeep.ts';
import type { Judge } from '../../src/observe/audit-verify.ts';
import { auditStatement, auditStatementIsSigned, retirementStatement } from '../../src/pki/audit-statement.ts';

/** Another process's, where that has handed it on. */
export const KEY_VARIABLE = 'CERTGATE_TEST_ISSUER_KEY';
const given = process.env[KEY_VARIABLE];
export const privateKey =
  given === undefined ? generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey : createPrivateKey(given);
export const publicKey = createPublicKey(privateKey);

const COMMON = { time: 1_790_000_000_000, trustDomain: 'prefect.example', issuer: 'aa11' };
const OFF = Number.POSITIVE_INFINITY;

export const NEVER: RotationRules = { rotateSize: OFF, rotateEvery: OFF, keepFor: OFF, keepFiles: OFF };

const base64 = (octets: Uint8Array, key: KeyObject): string => sign('sha256', octets, key).toString('base64');

/** Signs checkpoints; `signed` is told of each that is on record. */
export function signingOf(signed: (checkpoint: Checkpoint) => void, key = privateKey): Signing {
  return {
    sign: async (record) => {
      const facts = { ...COMMON, record, act: START };
      return { ...facts, signature: base64(auditStatement(facts), key) };
    },
    signed: async (checkpoint) => signed(checkpoint),
    failed: (error) => {
      throw error;
    },
    every: 3_600_000,
  };
}

export async function signRetirement(retiring: Retiring, key = privateKey): Promise<Retirement> {
  const facts = { ...COMMON, ...retiring };
  return { ...facts, signature: base64(retirementStatement(facts), key) };
}

export const judge: Judge = (said) => ({
  problem: auditStatementIsSigned(said, said.signature, { publicKey }) ? null : 'its signature is wrong',
  by: 'the test',
});

/** Looks after a record, as often as can be. */
export function upkeepOf(rules: Partial<RotationRules>, changes: Partial<Upkeep> = {}): Upkeep {
  return {
    rules: { ...NEVER, ...rules },
    sign: signRetirement,
    judge: async () => judge,
    rotated: () => {},
    retired: () => {},
    failed: (_what, error) => {
      throw error;
    },
    every: 10,
    ...changes,
  };
}
