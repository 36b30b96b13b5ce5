// As much of Kubernetes' API server as a gate and a kubelet ask: tokens of service accounts in its published form (TokenRequest,
// "Managing Service Accounts"), and the keys that they are signed with. It gives the keys out as
// kubernetes/kubernetes pkg/routes/openidmetadata.go does: to who shows a token for itself, as application/jwk-set+json, and
// 406 to who would not have that type.

import { randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:https';
import { join } from 'node:path';
import { KUBERNETES } from '../../enroll/published-tokens.ts';
import { publicJwk, testIssuer, written } from '../../enroll/token-issuer.ts';
import { freePort } from './ports.ts';
import { cleanEnvironment, finish } from './processes.ts';
import { atEnd } from './scenario.ts';

export interface PodName {
  readonly namespace: string;
  readonly serviceAccount: string;
  readonly name: string;
}

export interface ApiServer {
  /** `127.0.0.1:PORT` */
  readonly address: string;
  /** Its certificate, which is its own authority: kube-root-ca.crt. */
  readonly caPem: string;
  /** A token of the pod's service account; with no audience one for the API server itself. `seconds` as in TokenRequest. */
  token(pod: PodName, audience: string | null, seconds: number): string;
  /** How often its keys were given out. */
  readonly given: number;
}

/** What kubeadm, kind and k3s call theirs. */
const ISSUER = 'https://kubernetes.default.svc.cluster.local';
const KEYS = '/openid/v1/jwks';
const TYPE = 'application/jwk-set+json';

export async function startApiServer(dir: string): Promise<ApiServer> {
  const [cert, key] = [join(dir, 'apiserver.crt'), join(dir, 'apiserver.key')];
  const { code, stderr } = await finish(
    'openssl',
    [
      ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2'],
      ...['-subj', '/CN=kube-apiserver', '-addext', 'subjectAltName=IP:127.0.0.1', '-keyout', key, '-out', cert],
    ],
    { env: cleanEnvironment() },
  );
  if (code !== 0) throw new Error(stderr);
  const { rsa } = testIssuer();
  const { header, claims } = KUBERNETES;
  const jwks = JSON.stringify({ keys: [publicJwk(rsa, { use: 'sig', kid: header['kid'], alg: 'RS256' })] });
  const caPem = await readFile(cert, 'utf8');
  const own = new Set<string>();
  let given = 0;
  const server = createServer({ cert: caPem, key: await readFile(key) }, ({ url, headers }, answer) => {
    const types = (headers.accept ?? '*/*').split(',').map((type) => type.trim());
    const shown = /^Bearer (.+)$/.exec(headers.authorization ?? '')?.[1] ?? '';
    const status =
      url !== KEYS ? 404 : !own.has(shown) ? 401 : types.some((type) => [TYPE, '*/*'].includes(type)) ? 200 : 406;
    if (status === 200) given++;
    answer.writeHead(status, { 'content-type': TYPE }).end(status === 200 ? jwks : '{}');
  });
  const port = await freePort();
  await new Promise<void>((listening) => server.listen(port, '127.0.0.1', listening));
  atEnd(async () => {
    server.closeAllConnections();
    server.close();
  });
  return {
    address: `127.0.0.1:${port}`,
    caPem,
    get given() {
      return given;
    },
    token(pod, audience, seconds) {
      const now = Math.floor(Date.now() / 1000);
      const published = claims(audience ?? ISSUER, now);
      const { warnafter: _only, ...bound } = published['kubernetes.io'] as Readonly<Record<string, object>>;
      const { namespace, serviceAccount, name } = pod;
      const token = written(
        header,
        {
          ...published,
          exp: now + seconds,
          iss: ISSUER,
          jti: randomUUID(),
          'kubernetes.io': {
            ...bound,
            namespace,
            pod: { ...bound['pod'], name },
            serviceaccount: { ...bound['serviceaccount'], name: serviceAccount },
          },
          sub: `system:serviceaccount:${namespace}:${serviceAccount}`,
        },
        rsa,
      );
      if (audience === null) own.add(token);
      return token;
    },
  };
}
