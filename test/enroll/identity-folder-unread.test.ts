// A folder of an identity whose link cannot be read at one moment: nothing is taken for done, and nothing for useless.
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import { issueToDirectory } from '../../src/authority/issue-to-directory.ts';
import { prepareRenewal } from '../../src/enroll/identity-folder.ts';
import { generateKey, privateKeyToPem } from '../../src/pki/keys.ts';
import { openCa, request } from '../authority/fixture.ts';

const refused = vi.hoisted(() => ({ path: '' }));

vi.mock('node:fs/promises', async (original) => {
  const real = await original<typeof import('node:fs/promises')>();
  return {
    ...real,
    readlink: async (path: string) => {
      if (path !== refused.path) return real.readlink(path);
      refused.path = '';
      throw Object.assign(new Error(`EIO: i/o error, readlink '${path}'`), { code: 'EIO', syscall: 'readlink', path });
    },
  };
});

test('a renewal is not told as installed where that cannot be seen, and not removed either', async () => {
  const { authority, dir } = await openCa();
  const out = join(dir, 'worker');
  await issueToDirectory(authority, { ...request(), out });
  const { privateKey, publicKey } = await generateKey();
  const prepared = await prepareRenewal(out, privateKeyToPem(privateKey));
  const { record, chainPem } = await authority.issue(request({ publicKey }));
  refused.path = join(out, '.current');
  await expect(prepared.install(chainPem)).rejects.toMatchObject({ code: 'EIO' });
  await prepared.install(chainPem);
  refused.path = join(out, '.current');
  await prepared.discard();
  const certificate = new X509Certificate(readFileSync(join(out, 'tls.crt')));
  expect(certificate.serialNumber.toLowerCase()).toBe(record.serial);
  expect(certificate.checkPrivateKey(createPrivateKey(readFileSync(join(out, 'tls.key'))))).toBe(true);
});
