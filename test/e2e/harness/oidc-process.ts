// An OpenID provider in a process of its own: oidc-provider with its development forms for login and consent, over HTTPS. Who
// logs in as NAME is NAME@example.com, in the groups people and data/NAME, or those that the file GROUPS, JSON, has for NAME by then.
// Run: node oidc-process.ts PORT CERT KEY JWKS CLIENT GROUPS
import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';
import { Provider } from 'oidc-provider';

const [port = '', cert = '', key = '', jwks = '', client = '', groups = ''] = process.argv.slice(2);
const issuer = `https://127.0.0.1:${port}`;
const provider = new Provider(issuer, {
  clients: [
    {
      client_id: client,
      token_endpoint_auth_method: 'none',
      application_type: 'native',
      grant_types: ['authorization_code', 'urn:ietf:params:oauth:grant-type:device_code'],
      response_types: ['code'],
      redirect_uris: ['http://127.0.0.1/callback'],
    },
  ],
  jwks: JSON.parse(readFileSync(jwks, 'utf8')) as object,
  claims: { openid: ['sub'], profile: ['email', 'groups'] },
  scopes: ['openid', 'profile'],
  conformIdTokenClaims: false,
  features: { deviceFlow: { enabled: true }, devInteractions: { enabled: true } },
  cookies: { keys: ['a secret of this test'] },
  ttl: { IdToken: 600, AuthorizationCode: 60, DeviceCode: 120, Interaction: 600, Session: 600, Grant: 600 },
  findAccount: (_context: unknown, id: string) => ({
    accountId: id,
    claims: () => ({ sub: id, email: `${id}@example.com`, groups: groupsOf(id) }),
  }),
});
function groupsOf(id: string): readonly string[] {
  const all = JSON.parse(readFileSync(groups, 'utf8')) as Readonly<Record<string, readonly string[]>>;
  return all[id] ?? ['people', `data/${id}`];
}
provider.on('server_error', (_context, error) => process.stderr.write(`${String(error)}\n`));
const server = createServer({ cert: readFileSync(cert), key: readFileSync(key) }, (asked, answer) => {
  process.stdout.write(`${asked.method} ${asked.url?.split('?')[0]}\n`);
  provider.callback()(asked, answer);
});
server.listen(Number(port), '127.0.0.1', () => process.stdout.write('listening\n'));
