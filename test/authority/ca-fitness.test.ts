// A company's OpenSSL signs the issuer with all sorts of extensions. What certgate says of it is held against what OpenSSL
// says of a leaf below it.
import { createPrivateKey, createPublicKey, generateKeyPairSync } from 'node:crypto';
import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { caKeyProblemOf } from '../../src/authority/ca-key.ts';
import { createAuthority, type RootSource } from '../../src/authority/create.ts';
import { importIssuer, requestIssuer } from '../../src/authority/import-issuer.ts';
import { openKeyStore } from '../../src/authority/key-store.ts';
import { loadAuthority } from '../../src/authority/load.ts';
import { createLeaf, derToPem, issuerOf, newSerial, signerOf } from '../../src/pki/certificates.ts';
import { openSqliteStore } from '../../src/store/sqlite.ts';
import { closing, failureOf, newFolder, run } from '../store/fixture.ts';
import { CA_EXTENSIONS, type Company, newCompany } from './company.ts';
import { newPublicKey, request, TRUST_DOMAIN } from './fixture.ts';

async function make(root: RootSource) {
  const dir = newFolder();
  const certsDir = join(dir, 'certs');
  const made = await createAuthority({
    ...{ certsDir, stateDir: join(dir, 'state'), trustDomain: TRUST_DOMAIN, actor: 'test', root },
  });
  const store = closing(openSqliteStore(made.store));
  return { certsDir, store, trustDomain: TRUST_DOMAIN, actor: 'test' };
}
const elsewhere = (chainPem: string): RootSource => ({ kind: 'elsewhere', file: 'corp.crt', chainPem });

/** What OpenSSL says of leaves below the issuer, a client's and a server's: null for nothing. */
async function openSslSays(company: Company, issuerPem: string, keyFile: string): Promise<string | null> {
  const issuer = issuerOf(issuerPem, signerOf(createPrivateKey(readFileSync(keyFile))));
  const now = Date.now();
  for (const profile of ['client', 'server'] as const) {
    const identity = profile === 'client' ? 'worker/etl-1' : 'gate/inbound';
    const der = await createLeaf({
      ...{ profile, subjectCommonName: identity, spiffeUri: `spiffe://${TRUST_DOMAIN}/${identity}` },
      ...{ dns: [], ip: [], publicKey: newPublicKey(), serial: newSerial(), issuer },
      ...{ notBefore: new Date(now - 60_000), notAfter: new Date(now + 3_600_000) },
    });
    const at = (name: string): string => join(company.dir, name);
    writeFileSync(at('leaf.pem'), derToPem(der, 'CERTIFICATE'));
    writeFileSync(at('between.pem'), issuerPem + readFileSync(company.policy.cert, 'utf8'));
    const purpose = `ssl${profile}`;
    const files = ['-CAfile', company.root.cert, '-untrusted', at('between.pem'), at('leaf.pem')];
    const said = await run('openssl', ['verify', '-purpose', purpose, ...files]);
    if (said.code !== 0) return said.err + said.out;
  }
  return null;
}

const only = (rest: string): string => `${CA_EXTENSIONS}${rest}\n`;

describe('an issuer that a company has signed', () => {
  test.each<[string, string, RegExp | null]>([
    ['as it should be', only(`nameConstraints=permitted;URI:${TRUST_DOMAIN}`), null],
    ['for every host below', only('nameConstraints=permitted;URI:.example'), null],
    ['for both purposes', only('extendedKeyUsage=serverAuth,clientAuth'), null],
    ['for another trust domain', only('nameConstraints=permitted;URI:other.example'), /URIs of other.example only/],
    ['for hosts below the trust domain', only(`nameConstraints=permitted;URI:.${TRUST_DOMAIN}`), /only, not spiffe/],
    ['for all but the trust domain', only(`nameConstraints=excluded;URI:${TRUST_DOMAIN}`), /excludes URIs of prefect/],
    [
      'for subjects of the company',
      only('nameConstraints=permitted;dirName:corp\n[corp]\nO=Acme'),
      /subjects in O=Acme/,
    ],
    ['for servers only', only('extendedKeyUsage=serverAuth'), /leave out clientAuth/],
    ['for clients only', only('extendedKeyUsage=clientAuth'), /leave out serverAuth/],
    ['for any purpose, which OpenSSL takes for none', only('extendedKeyUsage=anyExtendedKeyUsage'), /leave out/],
    ['for mail', only('extendedKeyUsage=emailProtection'), /leave out serverAuth and clientAuth/],
    ['that signs no certificates', 'basicConstraints=critical,CA:TRUE,pathlen:0\nkeyUsage=cRLSign\n', /keyCertSign/],
    ['that is no CA', 'basicConstraints=critical,CA:FALSE\nkeyUsage=keyCertSign,cRLSign\n', /not a CA certificate/],
  ])('%s: certgate and OpenSSL agree', async (_what, extensions, problem) => {
    const company = newCompany();
    const place = await make(elsewhere(company.chain));
    const { request: csr, keyFile } = await requestIssuer(place);
    // A section of OpenSSL's own stands at the end of its file.
    const [own = '', section = ''] = extensions.split(/(?=\[)/);
    const pem = company.sign(csr, `${own}subjectKeyIdentifier=hash\n`, 'policy', section);
    // What is no CA, certgate's own signer refuses to sign with.
    const verdict = await openSslSays(company, pem, keyFile).catch(String);
    if (problem === null) {
      await importIssuer(place, pem, 'issuer.pem');
      expect(verdict).toBeNull();
      await (await loadAuthority(place)).issue(request());
      return;
    }
    const error = await failureOf('CG_CA_GIVEN', () => importIssuer(place, pem, 'issuer.pem'));
    expect(error.message).toMatch(problem);
    expect(verdict).not.toBeNull();
  });

  test.each<[string, string]>([
    ['that cannot sign revocation lists', 'basicConstraints=critical,CA:TRUE,pathlen:0\nkeyUsage=keyCertSign\n'],
    ['without a key usage', 'basicConstraints=critical,CA:TRUE,pathlen:0\n'],
    ['without a path length', 'basicConstraints=critical,CA:TRUE\nkeyUsage=keyCertSign,cRLSign\n'],
  ])('%s is refused, and the command in the hint makes what is right', async (_what, extensions) => {
    const company = newCompany();
    const place = await make(elsewhere(company.chain));
    const { request: csr } = await requestIssuer(place);
    const error = await failureOf('CG_CA_GIVEN', () =>
      importIssuer(place, company.sign(csr, extensions), 'issuer.pem'),
    );
    const command = /`(.+)`/.exec(error.hint)?.[1] ?? 'false';
    expect((await run('sh', ['-c', `cd '${company.dir}' && ${command}`])).code).toBe(0);
    const right = company.sign(csr, readFileSync(join(company.dir, 'issuer.ext'), 'utf8'));
    expect((await importIssuer(place, right, 'issuer.pem')).warnings).toEqual([]);
  });

  test('is refused before its time and after it', async () => {
    const company = newCompany();
    const place = await make(elsewhere(company.chain));
    const pem = company.sign((await requestIssuer(place)).request, CA_EXTENSIONS);
    for (const days of [-2, 301]) {
      const clock = () => Date.now() + days * 86_400_000;
      const error = await failureOf('CG_CA_GIVEN', () => importIssuer({ ...place, clock }, pem, 'issuer.pem'));
      expect(error.message).toMatch(/holds an issuer valid from .* only/);
    }
  });

  test('that is not constrained is taken, with a warning; so is one whose other names are bound', async () => {
    const warnings = async (extensions: string): Promise<string> => {
      const company = newCompany();
      const place = await make(elsewhere(company.chain));
      const { request: csr } = await requestIssuer(place);
      return (await importIssuer(place, company.sign(csr, extensions), 'issuer.pem')).warnings.join();
    };
    expect(await warnings(CA_EXTENSIONS)).toContain('nameConstraints=permitted;URI:prefect.example');
    const bound = await warnings(only(`nameConstraints=permitted;URI:${TRUST_DOMAIN},permitted;DNS:acme.example`));
    expect(bound).toContain('constrained to some DNS names');
  });

  test('with the key identifier of one that is on record is refused', async () => {
    const company = newCompany();
    const place = await make(elsewhere(company.chain));
    for (const round of [1, 2]) {
      const { request: csr } = await requestIssuer(place);
      const pem = company.sign(csr, only('subjectKeyIdentifier=00112233445566778899'));
      if (round === 1) await importIssuer(place, pem, 'issuer.pem');
      else {
        const error = await failureOf('CG_CA_GIVEN', () => importIssuer(place, pem, 'issuer.pem'));
        expect(error.message).toContain('the subject key identifier of issuer 1');
      }
    }
  });
});

describe('a company’s CA', () => {
  test.each<[string, string, RegExp]>([
    ['for another trust domain', 'nameConstraints=permitted;URI:other.example', /URIs of other.example only/],
    [
      'for servers only',
      'extendedKeyUsage=serverAuth',
      /Policy CA, whose purposes \(serverAuth\) leave out clientAuth/,
    ],
  ])('%s carries no issuer, whether its key is here or not', async (_what, rest, problem) => {
    const extensions = CA_EXTENSIONS.replace('pathlen:0', 'pathlen:1') + rest;
    const company = newCompany(extensions);
    chmodSync(company.policy.key, 0o600);
    const keyFile = company.policy.key;
    const signer = await openKeyStore({ passphrase: null }).read(keyFile);
    const chainPem = company.chain;
    for (const root of [elsewhere(chainPem), { kind: 'given', file: 'corp.crt', chainPem, keyFile, signer } as const]) {
      expect((await failureOf('CG_CA_GIVEN', () => make(root))).message).toMatch(problem);
    }
    // Nor when it comes with the issuer, below a root that is known.
    const place = await make(elsewhere(readFileSync(company.root.cert, 'utf8')));
    const { request: csr } = await requestIssuer(place);
    const pem = company.sign(csr, CA_EXTENSIONS) + readFileSync(company.policy.cert, 'utf8');
    expect((await failureOf('CG_CA_GIVEN', () => importIssuer(place, pem, 'issuer.pem'))).message).toMatch(problem);
  });
});

test('a company’s CA that may sign lists and no certificates carries no issuer', async () => {
  const { chain } = newCompany('basicConstraints=critical,CA:TRUE\nkeyUsage=critical,cRLSign\n');
  const error = await failureOf('CG_CA_GIVEN', () => make(elsewhere(chain)));
  expect(error.message).toContain('Acme Policy CA, whose key usage does not let it sign certificates');
});

test('a root without a name is refused, and told so', async () => {
  const [dir, at] = [newFolder(), (name: string): string => join(dir, name)];
  const made = await run('openssl', [
    ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-subj', '/', '-days', '10'],
    ...['-keyout', at('root.key'), '-out', at('root.crt')],
  ]);
  expect(made.code, made.err).toBe(0);
  const error = await failureOf('CG_CA_GIVEN', () => make(elsewhere(readFileSync(at('root.crt'), 'utf8'))));
  expect(error.message).toContain('holds a certificate without a name, and a CA must have one');
});

describe('a company’s root', () => {
  const root = async (key: readonly string[], ...extensions: readonly string[]): Promise<RootSource> => {
    const at = (name: string): string => join(dir, name);
    const dir = newFolder();
    const config = ['[req]', 'distinguished_name=name', '[name]', '[ca]', ...extensions].join('\n');
    writeFileSync(at('root.cnf'), `${config}\n`);
    const made = await run('openssl', [
      ...['req', '-x509', '-config', at('root.cnf'), '-extensions', 'ca', '-subj', '/CN=Acme Root', '-days', '10'],
      ...['-nodes', '-keyout', at('root.key'), '-out', at('root.crt'), ...key],
    ]);
    expect(made.code, made.err).toBe(0);
    return elsewhere(readFileSync(at('root.crt'), 'utf8'));
  };
  const ec = (curve: string, form = 'named') => [
    ...['-newkey', 'ec', '-pkeyopt', `ec_paramgen_curve:${curve}`],
    ...(form === 'explicit' ? ['-pkeyopt', 'ec_param_enc:explicit'] : []),
  ];
  const p256 = ec('P-256');
  const rsa = (bits: number, exponent = 65537) => [
    ...['-newkey', 'rsa', '-pkeyopt', `rsa_keygen_bits:${bits}`],
    ...['-pkeyopt', `rsa_keygen_pubexp:${exponent}`],
  ];
  const ca = ['basicConstraints=critical,CA:TRUE', 'subjectKeyIdentifier=hash'];

  test.each<[string, readonly string[], readonly string[], RegExp]>([
    ['with a key of RSA below 2048 bits', rsa(1024), ca, /key is one of the kind RSA-1024, smaller than 2048 bits/],
    [
      'with a key of RSA-PSS below 2048 bits',
      ['-newkey', 'rsa-pss', '-pkeyopt', 'rsa_keygen_bits:1024'],
      ca,
      /key is one of the kind rsa-pss, smaller than 2048 bits/,
    ],
    ['with a key of an odd size', rsa(2052), ca, /RSA-2052, of a size that is no number of whole octets/],
    ['with a key of P-192', ec('prime192v1'), ca, /key is one of the kind EC prime192v1, smaller than 224 bits/],
    ['with a key of 163 bits', ec('sect163r2'), ca, /EC sect163r2, smaller than 224 bits/],
    [
      'with a key that spells out its curve',
      ec('P-256', 'explicit'),
      ca,
      /key is one of the kind P-256, with its curve spelled out/,
    ],
    ['without a subject key identifier', p256, [...ca.slice(0, 1), 'subjectKeyIdentifier=none'], /no subject key id/],
    ['with name constraints that name nothing', p256, [...ca, 'nameConstraints=DER:3000'], /constraints name nothing/],
  ])('%s is refused', async (_what, key, extensions, problem) => {
    const source = await root(key, ...extensions);
    expect((await failureOf('CG_CA_GIVEN', () => make(source))).message).toMatch(problem);
  });

  test('of DSA is refused', async () => {
    const file = join(newFolder(), 'dsa.pem');
    expect((await run('openssl', ['dsaparam', '-out', file, '1024'])).code).toBe(0);
    const source = await root(['-newkey', `dsa:${file}`], ...ca);
    expect((await failureOf('CG_CA_GIVEN', () => make(source))).message).toContain('key is one of DSA');
  });

  test('with a key by a compressed point has one as large as its curve', async () => {
    const point = generateKeyPairSync('ec', { namedCurve: 'P-256' })
      .publicKey.export({ type: 'spki', format: 'der' })
      .subarray(-65);
    const half = Buffer.from([2 + ((point[64] ?? 0) & 1), ...point.subarray(1, 33)]);
    const compressed = Buffer.concat([
      Buffer.from('3039301306072a8648ce3d020106082a8648ce3d030107032200', 'hex'),
      half,
    ]);
    expect(await caKeyProblemOf(createPublicKey({ key: compressed, format: 'der', type: 'spki' }))).toBeNull();
  });

  test('with a key that Debian’s OpenSSL made in 2008 would be refused', async () => {
    const weak = createPublicKey(readFileSync(new URL('debian-weak.pub', import.meta.url)));
    expect(await caKeyProblemOf(weak)).toContain('CVE-2008-0166');
  });

  test.each<[string, readonly string[], readonly string[]]>([
    ['as easy-rsa makes it, its basic constraints not critical', p256, ['basicConstraints=CA:TRUE', ...ca.slice(1)]],
    ['that names itself in full as who signed it', p256, [...ca, 'authorityKeyIdentifier=keyid:always,issuer:always']],
    ['with an RSA key of 2048 bits and the exponent 3', rsa(2048, 3), ca],
    ['of P-521', ec('P-521'), ca],
    ['of P-224', ec('P-224'), ca],
    ['of Brainpool', ec('brainpoolP256r1'), ca],
  ])('%s is taken', async (_what, key, extensions) => {
    const { store } = await make(await root(key, ...extensions));
    expect((await store.listCa()).map(({ role }) => role)).toEqual(['root']);
  });
});
