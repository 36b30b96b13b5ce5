import { X509Certificate } from 'node:crypto';
import { chmodSync, existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { describe, expect, test } from 'vitest';
import { createAuthority, type RootSource } from '../../src/authority/create.ts';
import { exportCrl } from '../../src/authority/export-crl.ts';
import { importIssuer, requestIssuer } from '../../src/authority/import-issuer.ts';
import { openKeyStore } from '../../src/authority/key-store.ts';
import { loadAuthority } from '../../src/authority/load.ts';
import { activateRoot, prepareRoot, retireRoot, rollbackIssuer, rotateIssuer } from '../../src/authority/rotate.ts';
import { createIssuer, derToPem, issuerOf } from '../../src/pki/certificates.ts';
import { keyId } from '../../src/pki/keys.ts';
import { readRequest } from '../../src/pki/requests.ts';
import { openSqliteStore } from '../../src/store/sqlite.ts';
import { closing, failureOf, newFolder, run } from '../store/fixture.ts';
import { CA_EXTENSIONS, type Company, newCompany } from './company.ts';
import { type OpenCa, openCa, request, TRUST_DOMAIN } from './fixture.ts';

const keys = openKeyStore({ passphrase: null });

async function make(root: RootSource) {
  const dir = newFolder();
  const certsDir = join(dir, 'certs');
  const made = await createAuthority({
    ...{ certsDir, stateDir: join(dir, 'state'), trustDomain: TRUST_DOMAIN, actor: 'test', root },
  });
  const store = closing(openSqliteStore(made.store));
  const place = { certsDir, store, trustDomain: TRUST_DOMAIN, actor: 'test' };
  return { ...made, certsDir, store, place };
}

async function given({ chain, policy }: Company): Promise<RootSource> {
  chmodSync(policy.key, 0o600);
  return { kind: 'given', file: 'corp.crt', chainPem: chain, keyFile: policy.key, signer: await keys.read(policy.key) };
}

/** The certificate of an issuer for that request, signed by a CA in these files, and that CA's own. */
async function issuerBelow(ca: { readonly cert: string; readonly key: string }, csr: string): Promise<string> {
  const [pem = ''] = readFileSync(ca.cert, 'utf8').split(/(?<=END CERTIFICATE-----\n)/);
  chmodSync(ca.key, 0o600);
  const issuer = await createIssuer({
    ...{ commonName: 'by hand', trustDomain: TRUST_DOMAIN, key: readRequest(csr) },
    ...{ notBefore: new Date(Date.now() - 60_000), notAfter: new Date(Date.now() + 2 * 86_400_000) },
    root: issuerOf(pem, await keys.read(ca.key)),
  });
  return derToPem(issuer, 'CERTIFICATE') + pem;
}

describe('a CA under a company’s, whose key is at hand', () => {
  test('has an issuer that chains to the company’s root, shows peers the chain, and keeps no copy of the key', async () => {
    const company = newCompany();
    const { certsDir, store, place } = await make(await given(company));
    expect(readdirSync(certsDir).toSorted()).toEqual([
      'ca.crt',
      'intermediate.crt',
      'issuer.crt',
      'issuer.key',
      'root.crt',
    ]);
    const authority = await loadAuthority(place);
    const { chainPem } = await authority.issue(request());
    expect(chainPem.match(/BEGIN CERT/g)).toHaveLength(3);
    const leaf = join(company.dir, 'leaf.pem');
    writeFileSync(leaf, chainPem);
    const args = [
      'verify',
      '-x509_strict',
      '-purpose',
      'sslclient',
      '-CAfile',
      company.root.cert,
      '-untrusted',
      leaf,
      leaf,
    ];
    expect(await run('openssl', args)).toMatchObject({ code: 0 });
    expect((await store.listCa()).map(({ role, state }) => `${role} ${state}`)).toEqual([
      ...['root active', 'intermediate active', 'issuer active'],
    ]);
    expect(authority.ca.trust.issuersPem).toBe(readFileSync(join(certsDir, 'issuer.crt'), 'utf8'));
  });

  test('rotates its issuer with that key', async () => {
    const company = newCompany();
    const { place } = await make(await given(company));
    await failureOf('CG_CA_KEY', () => rotateIssuer(place));
    await rotateIssuer(place, company.policy.key);
    const authority = await loadAuthority(place);
    const { certificatePem } = await authority.issue(request());
    expect(new X509Certificate(certificatePem).issuer).toContain('issuer 2');
  });

  test('is refused for a chain that cannot carry an issuer, with what is wrong', async () => {
    const company = newCompany();
    const why = async (chainPem: string, key = company.policy.key) => {
      chmodSync(key, 0o600);
      const signer = await keys.read(key);
      const root: RootSource = { kind: 'given', file: 'corp.crt', chainPem, keyFile: key, signer };
      return (await failureOf('CG_CA_GIVEN', () => make(root))).message;
    };
    const read = (path: string) => readFileSync(path, 'utf8');
    expect(await why('hello')).toContain('corp.crt cannot be read: no usable PEM');
    expect(await why(read(company.policy.cert))).toContain('contains no root: whoever signed CN=Acme Policy CA');
    expect(await why(company.chain, company.root.key)).toContain('is not the key of CN=Acme Policy CA');
    const other = newCompany();
    expect(await why(company.chain + read(other.root.cert))).toContain('not one chain');
    // Its root and its policy CA have signed each other, and neither itself.
    const below = company.leaf('below', CA_EXTENSIONS);
    const csr = await run('openssl', ['req', '-new', '-key', company.root.key, '-subj', '/O=Acme/CN=Acme Root']);
    expect(await why(read(below.cert) + company.sign(csr.out, CA_EXTENSIONS), below.key)).toContain('contains no root');
    const leaf = company.leaf('web', 'basicConstraints=critical,CA:FALSE\n');
    expect(await why(read(leaf.cert) + read(company.root.cert), leaf.key)).toContain("which is not a CA's certificate");
  });
});

describe('a CA under a company’s, whose key is elsewhere', () => {
  test('cannot issue before the issuer’s certificate was imported, and can then', async () => {
    const company = newCompany();
    const { place, certsDir, unfinished, files } = await make({
      kind: 'elsewhere',
      file: 'corp.crt',
      chainPem: company.chain,
    });
    expect(unfinished).toBe(true);
    expect((await failureOf('CG_CA_UNFINISHED', () => loadAuthority(place))).hint).toContain('certgate ca import');
    const csr = readFileSync(files.issuerRequest ?? '', 'utf8');
    expect(await requestIssuer(place)).toMatchObject({ request: csr, again: true });
    await importIssuer(place, company.sign(csr, CA_EXTENSIONS), 'issuer.pem');
    const authority = await loadAuthority(place);
    expect((await authority.issue(request())).chainPem.match(/BEGIN CERT/g)).toHaveLength(3);
    expect(existsSync(join(certsDir, 'issuer.crt'))).toBe(true);
    expect((await failureOf('CG_CA_STEP', () => importIssuer(place, csr, 'x'))).hint).toBe('`certgate ca csr`');
  });

  test('takes the next issuer the same way, and an intermediate that it did not know', async () => {
    const company = newCompany();
    const { place } = await make({
      kind: 'elsewhere',
      file: 'corp.crt',
      chainPem: readFileSync(company.root.cert, 'utf8'),
    });
    const first = await requestIssuer(place);
    const alone = company.sign(first.request, CA_EXTENSIONS);
    expect((await failureOf('CG_CA_GIVEN', () => importIssuer(place, alone, 'issuer.pem'))).message).toContain(
      'does not chain to a root that this CA trusts',
    );
    const [other, policy] = [newCompany(), readFileSync(company.policy.cert, 'utf8')];
    const strange = other.sign(first.request, CA_EXTENSIONS) + readFileSync(other.policy.cert, 'utf8');
    expect((await failureOf('CG_CA_GIVEN', () => importIssuer(place, strange, 'issuer.pem'))).message).toContain(
      'the issuer of CN=Acme Policy CA is unknown',
    );
    await importIssuer(place, policy + alone, 'issuer.pem');
    const second = await requestIssuer(place);
    expect(second).toMatchObject({ again: false });
    expect(second.keyFile).toMatch(/issuer-2\.key$/);
    await importIssuer(place, company.sign(second.request, CA_EXTENSIONS), 'issuer.pem');
    expect((await place.store.listCa()).map(({ role, generation, state }) => `${role} ${generation} ${state}`)).toEqual(
      [...['root 1 active', 'intermediate 1 active', 'issuer 1 retiring', 'issuer 2 active']],
    );
    await (await loadAuthority(place)).issue(request());
  });

  test('goes back to the issuer before, also where the next one came below another CA of the same root', async () => {
    const company = newCompany(CA_EXTENSIONS.replace('pathlen:0', 'pathlen:2'));
    const { place } = await make({ kind: 'elsewhere', file: 'corp.crt', chainPem: company.chain });
    await importIssuer(place, company.sign((await requestIssuer(place)).request, CA_EXTENSIONS), 'issuer.pem');
    const between = company.leaf('between', CA_EXTENSIONS.replace('pathlen:0', 'pathlen:1'));
    const second = await issuerBelow(between, (await requestIssuer(place)).request);
    await importIssuer(place, second, 'issuer.pem');
    await rollbackIssuer(place);
    const issuers = (await place.store.listCa()).filter(({ role }) => role === 'issuer');
    expect(issuers.map(({ generation, state }) => `${generation} ${state}`)).toEqual(['1 active', '2 retiring']);
    await (await loadAuthority(place)).issue(request());
  });

  test('knows an issuer by the key identifier that its leaves name, whatever that is made of', async () => {
    const company = newCompany();
    const { place, store } = await make({ kind: 'elsewhere', file: 'corp.crt', chainPem: company.chain });
    const { request: csr } = await requestIssuer(place);
    const extensions = `${CA_EXTENSIONS}subjectKeyIdentifier=00112233445566778899\n`;
    await importIssuer(place, company.sign(csr, extensions), 'issuer.pem');
    const { record } = await (await loadAuthority(place)).issue(request());
    expect(record.issuer).toBe('00112233445566778899');
    const issuer = (await store.listCa()).find(({ role }) => role === 'issuer');
    expect(issuer?.keyId).toBe(record.issuer);
    expect(await store.liveIdentities(issuer?.keyId ?? '', Date.now())).toEqual([record.identity]);
  });

  test('puts right an issuer that an older certgate recorded by the hash of its key', async () => {
    const company = newCompany();
    const { place, store } = await make({ kind: 'elsewhere', file: 'corp.crt', chainPem: company.chain });
    const { request: csr } = await requestIssuer(place);
    const extensions = `${CA_EXTENSIONS}subjectKeyIdentifier=00112233445566778899\n`;
    await importIssuer(place, company.sign(csr, extensions), 'issuer.pem');
    const { record } = await (await loadAuthority(place)).issue(request());
    const old = new DatabaseSync(store.location);
    const hash = keyId(readRequest(csr).publicKey);
    old.prepare("UPDATE authorities SET key_id = ? WHERE role = 'issuer'").run(hash);
    old.close();
    const { ca } = await loadAuthority(place);
    expect([...ca.trust.issuers]).toEqual([record.issuer]);
    expect((await store.listCa()).find(({ role }) => role === 'issuer')?.keyId).toBe(record.issuer);
    expect((await store.listAudit({})).at(-1)).toMatchObject({
      action: 'ca.rename-issuer',
      detail: { changes: `${hash} is ${record.issuer}` },
    });
    const revision = await store.revision();
    await loadAuthority(place);
    expect(await store.revision()).toBe(revision);
  });

  test('takes a certificate that was put in its place already', async () => {
    const company = newCompany();
    const { place, certsDir } = await make({ kind: 'elsewhere', file: 'corp.crt', chainPem: company.chain });
    const pem = company.sign((await requestIssuer(place)).request, CA_EXTENSIONS);
    writeFileSync(join(certsDir, 'issuer.crt'), pem);
    await importIssuer(place, pem, 'issuer.pem');
    await (await loadAuthority(place)).issue(request());
  });

  test('is refused with a CA between for which one above, known already, has no room, as OpenSSL would', async () => {
    const company = newCompany(); // its policy CA may have one CA below
    const { place } = await make({ kind: 'elsewhere', file: 'corp.crt', chainPem: company.chain });
    const between = company.leaf('between', CA_EXTENSIONS.replace('pathlen:0', 'pathlen:1'));
    const both = await issuerBelow(between, (await requestIssuer(place)).request);
    const error = await failureOf('CG_CA_GIVEN', () => importIssuer(place, both, 'issuer.pem'));
    expect(error.message).toContain("Acme Policy CA, whose path length 1 has no room for certgate's issuer");
    expect((await place.store.listCa()).some(({ role }) => role === 'issuer')).toBe(false);
  });

  test.each([
    ['for another key', 'other', 'holds no certificate for the key of'],
    ['that is no CA’s', 'basicConstraints=critical,CA:FALSE\n', 'not a CA certificate'],
    ['that may sign no CRLs', CA_EXTENSIONS.replace(',cRLSign', ''), 'it needs keyCertSign and cRLSign'],
    ['that may make CAs', CA_EXTENSIONS.replace(',pathlen:0', ''), 'has no path length'],
    ['that may make one CA', CA_EXTENSIONS.replace('pathlen:0', 'pathlen:1'), 'has path length 1'],
  ])('refuses a certificate %s', async (_what, extensions, problem) => {
    const company = newCompany();
    const { place } = await make({ kind: 'elsewhere', file: 'corp.crt', chainPem: company.chain });
    const { request: csr } = await requestIssuer(place);
    const pem = extensions === 'other' ? readFileSync(company.policy.cert, 'utf8') : company.sign(csr, extensions);
    expect((await failureOf('CG_CA_GIVEN', () => importIssuer(place, pem, 'issuer.pem'))).message).toContain(problem);
    expect((await place.store.listCa()).some(({ role }) => role === 'issuer')).toBe(false);
  });
});

describe('an issuer that is signed elsewhere', () => {
  const signedBy = async (ca: OpenCa, root: 'root' | 'root-2', csr: string): Promise<string> => {
    const certificate = readFileSync(join(ca.certsDir, `${root}.crt`), 'utf8');
    const der = await createIssuer({
      ...{ commonName: 'by hand', trustDomain: TRUST_DOMAIN, key: readRequest(csr) },
      ...{ notBefore: new Date(Date.now() - 60_000), notAfter: new Date(Date.now() + 2 * 86_400_000) },
      root: issuerOf(certificate, await keys.read(join(ca.certsDir, `${root}.key`))),
    });
    return derToPem(der, 'CERTIFICATE');
  };
  const placeOf = ({ certsDir, store }: OpenCa) => ({ certsDir, store, trustDomain: TRUST_DOMAIN, actor: 'test' });

  test('is waited for, whatever rotation comes in between', async () => {
    const ca = await openCa();
    const { request: csr } = await requestIssuer(placeOf(ca));
    await rotateIssuer(placeOf(ca));
    expect(await requestIssuer(placeOf(ca))).toMatchObject({ request: csr, again: true });
    await importIssuer(placeOf(ca), await signedBy(ca, 'root', csr), 'issuer.pem');
    const issuers = (await ca.store.listCa()).filter(({ role }) => role === 'issuer');
    expect(issuers.map(({ generation, state }) => `${generation} ${state}`)).toEqual([
      ...['1 retiring', '2 active', '3 retiring'],
    ]);
  });

  test('is refused below a root that is on its way out, and a root is not retired under what issues', async () => {
    const ca = await openCa();
    await prepareRoot(placeOf(ca));
    await activateRoot(placeOf(ca), true);
    const { request: csr } = await requestIssuer(placeOf(ca));
    const pem = await signedBy(ca, 'root', csr);
    const error = await failureOf('CG_CA_GIVEN', () => importIssuer(placeOf(ca), pem, 'issuer.pem'));
    expect(error.message).toContain('does not chain to a root that this CA trusts');
    await importIssuer(placeOf(ca), await signedBy(ca, 'root-2', csr), 'issuer.pem');
    await retireRoot(placeOf(ca));
    await ca.authority.reload();
    await ca.authority.issue(request());
  });
});

test('no revocation list is signed in the name of a company’s CA, whether it is the root or below', async () => {
  const company = newCompany();
  const { place, store } = await make(await given(company));
  const policy = (await store.listCa()).find(({ role }) => role === 'intermediate')?.keyId ?? '';
  const below = await failureOf('CG_USAGE', () => exportCrl(place, policy, company.policy.key, 'test'));
  expect(below.message).toContain('the intermediate CN=Acme Policy CA is not one that certgate made');
  chmodSync(company.root.key, 0o600);
  const error = await failureOf('CG_USAGE', () => exportCrl(place, 'root', company.root.key, 'test'));
  expect(error.message).toContain('the root O=Acme, CN=Acme Root is not one that certgate made');
});
