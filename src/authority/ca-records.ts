// The CA's certificates as they are on record, each known by the key identifier that what it signed names. Certgate once
// took the hash of an imported issuer's key for that, which for a certificate from elsewhere it need not be: by the
// records such an issuer had no leaves. What is still on record so is put right when it is read.
import { isCertgateError } from '../errors.ts';
import { readCertificate } from '../pki/certificates.ts';
import { keyIdOf } from '../pki/keys.ts';
import type { CaRecord, Store } from '../store/store.ts';

/** As `Store.listCa`, with the right key identifiers. CG_STORE_*. */
export async function caRecordsIn(store: Pick<Store, 'listCa' | 'changeCa'>): Promise<readonly CaRecord[]> {
  const records = await store.listCa();
  const renames = records.flatMap(({ role, keyId, der }) => {
    const to = role === 'issuer' ? keyIdOf(readCertificate(der)) : keyId;
    return to === keyId ? [] : [{ from: keyId, to }];
  });
  if (renames.length === 0) return records;
  const at = Date.now();
  const changes = renames.map(({ from, to }) => `${from} is ${to}`).join(', ');
  const audit = { time: at, actor: 'certgate', action: 'ca.rename-issuer', object: 'issuer', detail: { changes } };
  await store.changeCa({ renames, at }, audit).catch((error: unknown) => {
    // Another process was faster; a store that can't be written to still tells who is revoked.
    if (!isCertgateError(error, 'CG_CA_CHANGED') && !isCertgateError(error, 'CG_STORE_READONLY')) throw error;
  });
  return records.map((one) => ({ ...one, keyId: renames.find(({ from }) => from === one.keyId)?.to ?? one.keyId }));
}
