// A root and an issuer for the CAs that are given theirs: P-256, as certgate's own are, made by another than certgate.

// oxlint-disable-next-line import/no-unassigned-import -- @peculiar/x509 needs it to be there first
import 'reflect-metadata';
import { KeyObject, webcrypto } from 'node:crypto';
import * as x509 from '@peculiar/x509';
import { privateKeyToPem } from '../../../src/pki/keys.ts';

export interface OwnCa {
  readonly root: string;
  readonly issuer: string;
  readonly issuerKey: string;
  /** For localhost and 127.0.0.1. */
  readonly server: string;
  readonly serverKey: string;
}

const DAY_MS = 86_400_000;
const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;

/** All PEM. */
export async function makeOwnCa(): Promise<OwnCa> {
  const pair = () => webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
  const [rootKeys, issuerKeys, serverKeys] = [await pair(), await pair(), await pair()];
  const dates = { notBefore: new Date(Date.now() - DAY_MS), notAfter: new Date(Date.now() + 30 * DAY_MS) };
  const signs = new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true);
  const root = await x509.X509CertificateGenerator.createSelfSigned({
    ...{ ...dates, name: 'CN=bench root', keys: rootKeys, signingAlgorithm: ALGORITHM, serialNumber: '01' },
    extensions: [new x509.BasicConstraintsExtension(true, 1, true), signs],
  });
  const under = async (subject: string, keys: typeof rootKeys, by: typeof rootKeys, more: readonly x509.Extension[]) =>
    x509.X509CertificateGenerator.create({
      ...{ ...dates, subject, issuer: by === rootKeys ? 'CN=bench root' : 'CN=bench issuer' },
      ...{ publicKey: keys.publicKey, signingKey: by.privateKey, signingAlgorithm: ALGORITHM },
      extensions: [...more, await x509.SubjectKeyIdentifierExtension.create(keys.publicKey)],
    });
  const issuer = await under('CN=bench issuer', issuerKeys, rootKeys, [
    new x509.BasicConstraintsExtension(true, 0, true),
    signs,
  ]);
  const server = await under('CN=localhost', serverKeys, issuerKeys, [
    new x509.SubjectAlternativeNameExtension([
      { type: 'dns', value: 'localhost' },
      { type: 'ip', value: '127.0.0.1' },
    ]),
  ]);
  const keyPem = ({ privateKey }: typeof rootKeys): string => privateKeyToPem(KeyObject.from(privateKey));
  const pem = (...all: readonly x509.X509Certificate[]): string =>
    all.map((one) => `${one.toString('pem')}\n`).join('');
  return {
    root: pem(root),
    issuer: pem(issuer),
    issuerKey: keyPem(issuerKeys),
    server: pem(server, issuer),
    serverKey: keyPem(serverKeys),
  };
}
