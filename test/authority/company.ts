// A company's CA for tests, made by OpenSSL: a root, a policy CA under it that may have one more below, and whatever
// they are asked to sign.
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { newFolder } from '../store/fixture.ts';

export interface Company {
  readonly dir: string;
  /** `root`, `policy`: paths of certificate and key. */
  readonly root: { readonly cert: string; readonly key: string };
  readonly policy: { readonly cert: string; readonly key: string };
  /** PEM of policy and root. */
  readonly chain: string;
  /** Signs a request by the policy CA with these extensions, and sections that they name; answers PEM. */
  sign(request: string, extensions: string, by?: 'root' | 'policy', sections?: string): string;
  /** A leaf with a key of its own, signed by the policy CA. */
  leaf(name: string, extensions: string): { readonly cert: string; readonly key: string };
}

export const CA_EXTENSIONS = 'basicConstraints=critical,CA:TRUE,pathlen:0\nkeyUsage=critical,keyCertSign,cRLSign\n';
const KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];

/** `policyExtensions` are those of its policy CA. */
export function newCompany(policyExtensions = CA_EXTENSIONS.replace('pathlen:0', 'pathlen:1')): Company {
  const dir = newFolder();
  const at = (name: string) => ({ cert: join(dir, `${name}.crt`), key: join(dir, `${name}.key`) });
  const [root, policy] = [at('root'), at('policy')];
  const openssl = (...args: string[]): string => {
    const { status, stderr, stdout } = spawnSync('openssl', args, { encoding: 'utf8' });
    if (status !== 0) throw new Error(stderr);
    return stdout;
  };
  const sign: Company['sign'] = (request, extensions, by = 'policy', sections = '') => {
    const [csr, ext] = [join(dir, 'asked.csr'), join(dir, 'asked.ext')];
    writeFileSync(csr, request);
    const issuerIdentifier = extensions.includes('authorityKeyIdentifier') ? '' : 'authorityKeyIdentifier=keyid\n';
    const identifier = extensions.includes('subjectKeyIdentifier') ? '' : 'subjectKeyIdentifier=hash\n';
    writeFileSync(ext, `${extensions.trimEnd()}\n${identifier}${issuerIdentifier}${sections}`);
    const { cert, key } = by === 'root' ? root : policy;
    return openssl('x509', '-req', '-in', csr, '-CA', cert, '-CAkey', key, '-days', '300', '-extfile', ext);
  };
  const request = (name: string, key: string): string =>
    openssl('req', '-new', ...KEY, '-keyout', key, '-subj', `/CN=${name}`);
  const rootExtensions = ['-addext', 'keyUsage=critical,keyCertSign,cRLSign'];
  openssl(
    'req',
    '-x509',
    '-new',
    ...KEY,
    '-keyout',
    root.key,
    '-subj',
    '/O=Acme/CN=Acme Root',
    '-days',
    '3000',
    '-out',
    root.cert,
    ...rootExtensions,
  );
  writeFileSync(policy.cert, sign(request('Acme Policy CA', policy.key), policyExtensions, 'root'));
  return {
    dir,
    root,
    policy,
    chain: readFileSync(policy.cert, 'utf8') + readFileSync(root.cert, 'utf8'),
    sign,
    leaf(name, extensions) {
      const files = at(name);
      writeFileSync(files.cert, sign(request(name, files.key), extensions) + readFileSync(policy.cert, 'utf8'));
      return files;
    },
  };
}
