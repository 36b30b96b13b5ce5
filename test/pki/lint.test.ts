// Every kind of certificate that certgate makes, with every kind of key, held against zlint (RFC 3279, 5280, 5480, 5891, 8813
// and community lints) and pkilint (RFC 5280). They find what is listed here and nothing else.
import { beforeAll, describe, expect, test } from 'vitest';
import {
  createIssuer,
  createLeaf,
  createRoot,
  derToPem,
  issuerOf,
  newSerial,
  signerOf,
} from '../../src/pki/certificates.ts';
import { encodeTlv, TAG } from '../../src/pki/der.ts';
import { generateKey, type KeyKind } from '../../src/pki/keys.ts';
import { at, craft, extension, oid, TRUST_DOMAIN } from './fixture.ts';
import { askPkilint, askZlint, type Findings, missing } from './linters.ts';

for (const reason of Object.values(missing)) if (reason !== null) process.stderr.write(`skipped: ${reason}\n`);

const KINDS: readonly KeyKind[] = ['P-256', 'P-384', 'Ed25519', 'RSA-2048', 'RSA-3072'];
const WHAT = ['root', 'issuer', 'client', 'client with a long name', 'server'] as const;

async function make(kind: KeyKind): Promise<Record<string, string>> {
  // RSA pairs take long to make; for linters one may have all three parts
  const pairs = kind.startsWith('RSA') ? 1 : 3;
  const keys = await Promise.all(Array.from({ length: pairs }, () => generateKey(kind)));
  const [rootKey, issuerKey = rootKey, leafKey = rootKey] = keys;
  if (rootKey === undefined || issuerKey === undefined || leafKey === undefined) throw new Error('no key');
  const validity = { notBefore: at(-1), notAfter: at(365) };
  const rootDer = await createRoot({
    commonName: 'certgate root prefect.example',
    ...validity,
    notAfter: at(3650),
    key: rootKey,
  });
  const root = issuerOf(rootDer, signerOf(rootKey.privateKey));
  const asked = { commonName: 'certgate issuer prefect.example', trustDomain: TRUST_DOMAIN, ...validity };
  const issuerDer = await createIssuer({ ...asked, key: issuerKey, root });
  const issuer = issuerOf(issuerDer, signerOf(issuerKey.privateKey));
  const leaf = (profile: 'client' | 'server', name: string, dns: readonly string[], ip: readonly string[]) =>
    createLeaf({
      profile,
      subjectCommonName: name,
      spiffeUri: `spiffe://${TRUST_DOMAIN}/${name}`,
      dns,
      ip,
      publicKey: leafKey.publicKey,
      notBefore: at(0),
      notAfter: at(1),
      serial: newSerial(),
      issuer,
    });
  const made = {
    root: rootDer,
    issuer: issuerDer,
    client: await leaf('client', 'worker/etl-1', [], []),
    'client with a long name': await leaf('client', `worker/${'a'.repeat(100)}`, ['etl-1.example.com'], []),
    server: await leaf('server', 'gate/host', ['localhost', 'prefect.example.com'], ['127.0.0.1', '2001:db8::7']),
  };
  return Object.fromEntries(
    Object.entries(made).map(([what, der]) => [`${kind} ${what}`, derToPem(der, 'CERTIFICATE')]),
  );
}

/** Not critical on purpose: Chromium refuses the gate's certificate otherwise (extensions.ts, onlyTrustDomain). */
const NAME_CONSTRAINTS = {
  zlint: 'e_ext_name_constraints_not_critical error',
  pkilint: 'pkix.certificate_name_constraints_extension_not_critical ERROR Extension 2.5.29.30 is not critical',
};
/** A host on a machine of one's own is called so; RFC 1034 §3.5 takes a single label. */
const LOCALHOST = {
  zlint: 'n_san_iana_pub_suffix_empty info',
  pkilint: 'pkix.invalid_domain_name_syntax ERROR Invalid domain name syntax: "localhost"',
};
/** pkilint takes a URI for one only with a scheme of the web; RFC 3986 §3.1 takes any, and SPIFFE's is registered. */
const spiffe = (name: string): string =>
  `pkix.invalid_uri_syntax ERROR Invalid URI syntax: "spiffe://${TRUST_DOMAIN}/${name}"`;

const expected: Readonly<Record<'zlint' | 'pkilint', Readonly<Record<(typeof WHAT)[number], readonly string[]>>>> = {
  zlint: {
    root: [],
    issuer: [NAME_CONSTRAINTS.zlint],
    client: [],
    'client with a long name': [],
    server: [LOCALHOST.zlint],
  },
  pkilint: {
    root: [],
    issuer: [NAME_CONSTRAINTS.pkilint],
    client: [spiffe('worker/etl-1')],
    'client with a long name': [spiffe(`worker/${'a'.repeat(100)}`)],
    server: [LOCALHOST.pkilint],
  },
};

let certificates: Readonly<Record<string, string>> = {};
beforeAll(async () => {
  certificates = Object.assign({}, ...(await Promise.all(KINDS.map(make)))) as Record<string, string>;
});

const wanted = (linter: 'zlint' | 'pkilint'): Findings =>
  Object.fromEntries(KINDS.flatMap((kind) => WHAT.map((what) => [`${kind} ${what}`, expected[linter][what]] as const)));

describe('each certificate, with each kind of key,', () => {
  test.skipIf(missing.zlint !== null)('has no finding of zlint but those explained here', async () => {
    expect(await askZlint(certificates)).toEqual(wanted('zlint'));
  });

  test.skipIf(missing.pkilint !== null)('has no finding of pkilint but those explained here', async () => {
    expect(await askPkilint(certificates)).toEqual(wanted('pkilint'));
  });
});

describe('the linters are awake:', () => {
  const broken = async (): Promise<Readonly<Record<string, string>>> => {
    const purpose = extension('2.5.29.37', encodeTlv(TAG.sequence, oid('1.3.6.1.5.5.7.3.2')));
    return { broken: derToPem(await craft({ extensions: [purpose], serial: Uint8Array.of(0) }), 'CERTIFICATE') };
  };

  test.skipIf(missing.zlint !== null)('zlint finds what is wrong with a certificate of another make', async () => {
    expect((await askZlint(await broken()))['broken']).not.toEqual([]);
  });

  test.skipIf(missing.pkilint !== null)('pkilint finds what is wrong with a certificate of another make', async () => {
    expect((await askPkilint(await broken()))['broken']).not.toEqual([]);
  });
});
