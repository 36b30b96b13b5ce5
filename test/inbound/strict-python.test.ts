// Python 3.13 and newer verify with VERIFY_X509_STRICT by default: Prefect's clients on them take no server certificate
// that is not to the letter of RFC 5280. Real handshakes with a real gate, by Python's own ssl: of such a Python where
// there is one, and by the flag with the Python that scripts/setup uses.
import { execFile } from 'node:child_process';
import { globSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { createServer as createTlsServer } from 'node:tls';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createIssuer, createRoot, derToPem, issuerOf, signerOf } from '../../src/pki/certificates.ts';
import { encodeTlv, TAG } from '../../src/pki/der.ts';
import { generateKey, privateKeyToPem } from '../../src/pki/keys.ts';
import { bind } from '../../src/proxy/connection-set.ts';
import { uvicornPython } from '../http1/parsers/uvicorn.ts';
import { craft, extension, generalNames, oid, SAN, TRUST_DOMAIN, testAuthority } from '../pki/fixture.ts';
import { folderWith } from '../pki/openssl.ts';
import { portOf } from '../proxy/plain-proxy.ts';
import { type GateFixture, type GateHouse, openGateHouse } from '../security/gate-fixture.ts';

const run = promisify(execFile);
const script = fileURLToPath(new URL('./strict_client.py', import.meta.url));

interface Seen {
  readonly python: string;
  readonly openssl: string;
  readonly strictByDefault: boolean;
  readonly strict: boolean;
  readonly refusal: string | null;
  readonly answer: string;
}

async function ask(python: string, folder: string, host: string, port: number, how: string): Promise<Seen> {
  const { stdout } = await run(python, [script, folder, host, String(port), how], { timeout: 30_000 });
  return JSON.parse(stdout) as Seen;
}

/** A Python of 3.13 or newer, on PATH or among pyenv's; null for none. */
async function newPython(): Promise<string | null> {
  const pyenv = process.env['PYENV_ROOT'] ?? join(homedir(), '.pyenv');
  const own = uvicornPython === null ? [] : [uvicornPython];
  const candidates = [
    ...own,
    'python3.14',
    'python3.13',
    'python3',
    ...globSync(join(pyenv, 'versions/3.1[3-9]*/bin/python')),
  ];
  for (const python of candidates) {
    const isNew = 'import ssl, sys; sys.exit(sys.version_info < (3, 13))';
    if (
      await run(python, ['-c', isNew]).then(
        () => true,
        () => false,
      )
    )
      return python;
  }
  return null;
}

const strictPython = await newPython();
if (strictPython === null)
  process.stderr.write('skipped: no Python 3.13 here; its flag is asked of the Python at hand\n');
if (uvicornPython === null) process.stderr.write('skipped: no Python here: run ./scripts/setup\n');

describe.skipIf(uvicornPython === null && strictPython === null)('Python with VERIFY_X509_STRICT', () => {
  const upstream = createServer((_, answer) => answer.end('true'));
  let house: GateHouse;
  let gate: GateFixture;
  beforeAll(async () => {
    await bind(upstream, { host: '127.0.0.1', port: 0 });
    house = await openGateHouse();
    gate = await house.start(portOf(upstream));
  });
  afterAll(async () => {
    await gate.close();
    await house.close();
    upstream.close();
  });

  test.skipIf(strictPython === null).each(['localhost', '127.0.0.1'])(
    'which 3.13 and newer set by themselves, takes the certificate of a gate called %s',
    async (host) => {
      const seen = await ask(strictPython ?? '', house.worker, host, gate.port, 'default');
      process.stderr.write(`asked Python ${seen.python} with ${seen.openssl}\n`);
      expect(seen).toMatchObject({ strictByDefault: true, strict: true, refusal: null, answer: 'HTTP/1.1 200 OK' });
    },
  );

  test.skipIf(uvicornPython === null).each(['localhost', '127.0.0.1'])(
    'by the flag, takes the certificate of a gate called %s',
    async (host) => {
      const seen = await ask(uvicornPython ?? '', house.worker, host, gate.port, 'strict');
      process.stderr.write(`asked Python ${seen.python} with ${seen.openssl}\n`);
      expect(seen).toMatchObject({ strict: true, refusal: null, answer: 'HTTP/1.1 200 OK' });
    },
  );

  test('refuses a server certificate without an authority key identifier, which it takes without the flag', async () => {
    const { leafKey } = await testAuthority();
    const [from, to] = [new Date(Date.now() - 60_000), new Date(Date.now() + 3_600_000)];
    const [rootKey, issuerKey] = [await generateKey(), await generateKey()];
    const dates = { notBefore: from, notAfter: to };
    const root = issuerOf(
      await createRoot({ commonName: 'test root', ...dates, key: rootKey }),
      signerOf(rootKey.privateKey),
    );
    const asked = { commonName: 'test issuer', trustDomain: TRUST_DOMAIN, ...dates, key: issuerKey, root };
    const issuer = issuerOf(await createIssuer(asked), signerOf(issuerKey.privateKey));
    const der = await craft({
      issuer,
      validity: [from, to],
      extensions: [
        extension('2.5.29.37', encodeTlv(TAG.sequence, oid('1.3.6.1.5.5.7.3.1'))),
        extension('2.5.29.14', encodeTlv(TAG.octetString, Buffer.from(issuer.keyId, 'hex'))),
        extension(SAN, generalNames([2, 'localhost'])),
      ],
    });
    const chain = [der, issuer.certificate.raw].map((each) => derToPem(each, 'CERTIFICATE')).join('');
    const key = privateKeyToPem(leafKey.privateKey);
    const folder = folderWith({ 'ca.crt': derToPem(root.certificate.raw, 'CERTIFICATE') });
    for (const name of ['tls.crt', 'tls.key']) writeFileSync(join(folder, name), name === 'tls.crt' ? chain : key);
    const server = createTlsServer({ cert: chain, key }, (socket) => {
      socket.on('error', () => {});
      socket.end('HTTP/1.1 200 OK\r\n\r\n');
    });
    await bind(server, { host: '127.0.0.1', port: 0 });
    const python = strictPython ?? uvicornPython ?? '';
    const [strict, lax] = [
      await ask(python, folder, 'localhost', portOf(server), 'strict'),
      await ask(python, folder, 'localhost', portOf(server), 'lax'),
    ];
    server.close();
    expect(strict.refusal).toBe('Missing Authority Key Identifier');
    expect(lax).toMatchObject({ strict: false, refusal: null, answer: 'HTTP/1.1 200 OK' });
  });
});
