// What the desk answers with, and the small things that enrolment and renewal share. What is wrong with a request is told to
// whoever made it; what is wrong with a token never is (desk.ts). Pure but for nothing: no clock, no store.
import type { Authority } from '../authority/authority.ts';
import { CertgateError } from '../errors.ts';
import { spkiHashOf } from '../pki/public-keys.ts';
import { type CertificateRequest, readRequest } from '../pki/requests.ts';
import { writeIssued } from './wire.ts';

export interface DeskAnswer {
  readonly status: 200 | 400 | 403 | 429 | 503;
  /** JSON. */
  readonly text: string;
}

/** SHA-256 of a request's SubjectPublicKeyInfo, hex. */
export function keyHashOf({ publicKey }: Pick<CertificateRequest, 'publicKey'>): string {
  return spkiHashOf(publicKey);
}

export function issued(identity: string, certificate: string, { bundlePem }: Authority): DeskAnswer {
  return { status: 200, text: writeIssued({ identity, certificate, bundle: bundlePem }) };
}

export function answerWith(status: DeskAnswer['status'], detail: string): DeskAnswer {
  return { status, text: JSON.stringify({ detail: `certgate: ${detail}` }) };
}

/** The request, or what is wrong with it: that is the asker's own, and no secret to him. */
export function readRequestOrWhy(csr: string): CertificateRequest | string {
  try {
    return readRequest(csr);
  } catch (error) {
    if (error instanceof CertgateError) return error.message;
    throw error;
  }
}
