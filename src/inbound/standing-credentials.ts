// What a gate shows and whom it trusts, kept in step with its CA for as long as it runs: its own certificate, renewed in
// time and after each rotation, and the trust that goes with it. Both are installed together, by whoever serves.

import type { Authority } from '../authority/authority.ts';
import { endOf } from '../authority/ca-ages.ts';
import type { CaPlace } from '../authority/change.ts';
import type { Log } from '../observe/log.ts';
import { watchCa } from './ca-watch.ts';
import {
  type ClientTrust,
  clientTrustOf,
  issueServerCertificate,
  keepRenewed,
  type ServerCredentials,
} from './server-certificate.ts';

export interface Standing {
  readonly credentials: ServerCredentials;
  readonly trust: ClientTrust;
}

/** When certificates end that a gate stands on, ms since the epoch; an issuer or root that is not there is not in it. */
export type CertificateEnds = Readonly<Partial<Record<'gate' | 'issuer' | 'root', number>>>;

export interface StandingOptions {
  readonly authority: Authority;
  /** What the gate keeps its CA up with. */
  readonly caPlace: CaPlace;
  /** DNS names and IP addresses of the server certificate. */
  readonly names: readonly string[];
  /** Its lifetime, ms. */
  readonly serverTtl: number;
  readonly log: Log;
}

export interface StandingCredentials {
  /** As they are now. */
  readonly current: Standing;
  ends(): CertificateEnds;
  /** Keeps them so from now on; `install` gets them after each change. Answers how to stop. */
  keep(install: (standing: Standing) => void): () => void;
}

/** Issues the first certificate. CG_* of the authority. */
export async function openStandingCredentials(options: StandingOptions): Promise<StandingCredentials> {
  const { authority, caPlace, names, serverTtl, log } = options;
  const issue = (): Promise<ServerCredentials> => issueServerCertificate(authority, names, serverTtl);
  let current: Standing = { credentials: await issue(), trust: await clientTrustOf(authority) };
  return {
    get current() {
      return current;
    },
    ends() {
      const { activeIssuer, activeRoot } = authority.ca.trust;
      return {
        gate: current.credentials.notAfter,
        ...(activeIssuer !== null && { issuer: endOf(activeIssuer) }),
        ...(activeRoot !== null && { root: endOf(activeRoot) }),
      };
    },
    keep(install) {
      const renewed = (credentials: ServerCredentials): void => {
        current = { ...current, credentials };
        install(current);
      };
      const renewal = keepRenewed(current.credentials, issue, renewed, log);
      const caWatch = watchCa({
        authority,
        place: caPlace,
        log,
        async changed(issuerChanged) {
          try {
            current = { ...current, trust: await clientTrustOf(authority) };
          } catch (error) {
            // What clients are to trust wants a signature; whom to let in does not.
            const { issuersPem, issuers } = authority.ca.trust;
            if (issuersPem !== current.trust.issuersPem) {
              current = { ...current, trust: { ...current.trust, issuersPem, issuers: [...issuers] } };
              install(current);
            }
            throw error;
          }
          // First a certificate that everybody can verify, then an end to those by the old issuer.
          if (issuerChanged) await renewal.renew();
          install(current);
        },
      });
      return () => {
        renewal.stop();
        caWatch.stop();
      };
    },
  };
}
