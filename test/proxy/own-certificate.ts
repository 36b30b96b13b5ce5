// A key and a certificate for a TLS listener of a test that verifies nobody.

import { createRoot, derToPem } from '../../src/pki/certificates.ts';
import { generateKey, privateKeyToPem } from '../../src/pki/keys.ts';

export async function ownCertificate(): Promise<{ readonly key: string; readonly cert: string }> {
  const pair = await generateKey();
  const der = await createRoot({
    commonName: 'test',
    notBefore: new Date(Date.now() - 60_000),
    notAfter: new Date(Date.now() + 3_600_000),
    key: pair,
  });
  return { key: privateKeyToPem(pair.privateKey), cert: derToPem(der, 'CERTIFICATE') };
}
