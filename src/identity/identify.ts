import { CertgateError } from '../errors.ts';
export interface CertificateFacts {
  readonly subject: ReadonlyArray<readonly [attribute: string, value: string]>;
  readonly subjectAltNames: ReadonlyArray<{
    readonly type: 'URI' | 'DNS' | 'email' | 'IP' | 'other';
    readonly value: string;
  }>;
  readonly serial: string;
  readonly issuer: string;
}
export type PatternSource = 'CN' | 'OU' | 'O' | 'DNS' | 'URI' | 'email';
export type IdentityRule =
  | { readonly from: 'spiffe' }
  | { readonly from: PatternSource; readonly match: string; readonly as: string };
export interface CompiledRules {
  readonly rules: readonly unknown[];
}
export interface Identified {
  readonly ok: true;
  readonly identity: string;
  readonly rule: string;
}
export type UnidentifiedCode =
  | 'CG_IDENTITY_NONE'
  | 'CG_IDENTITY_AMBIGUOUS'
  | 'CG_IDENTITY_FOREIGN'
  | 'CG_IDENTITY_ODD'
  | 'CG_IDENTITY_RESERVED';
export interface Unidentified {
  readonly ok: false;
  readonly code: UnidentifiedCode;
  readonly reason: string;
}
export const defaultRules: readonly IdentityRule[] = [{ from: 'spiffe' }];
export function compileRules(rules: readonly IdentityRule[]): CompiledRules {
  return { rules };
}
export function identify(
  _facts: CertificateFacts,
  _rules: CompiledRules,
  _trustDomain: string,
): Identified | Unidentified {
  throw new CertgateError('CG_INTERNAL', { problem: 'identify is being built' });
}
