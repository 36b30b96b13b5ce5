// An error of the catalogue on its way from a worker to the primary, which ends with it as if it were its own.

import { CertgateError, catalogue, type ErrorCode, isCertgateError, reasonOf } from '../../errors.ts';

/** What is left of an error in a message. */
export interface CertgateErrorFacts {
  /** Null when it is none of the catalogue. */
  readonly code: string | null;
  readonly facts: unknown;
  readonly reason: string;
}

export function factsOfError(error: unknown): CertgateErrorFacts {
  const known = isCertgateError(error);
  return { code: known ? error.code : null, facts: known ? error.facts : null, reason: reasonOf(error) };
}

export function rebuilt({ code, facts, reason }: CertgateErrorFacts): CertgateError {
  if (code === null || !Object.hasOwn(catalogue, code)) return new CertgateError('CG_WORKER', { reason });
  return new CertgateError(code as ErrorCode, facts as never);
}
