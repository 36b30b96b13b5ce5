import { join } from 'node:path';
import { expect, test } from 'vitest';
import { credentialsIn } from './harness/house.ts';
import { cleanEnvironment, finish } from './harness/processes.ts';
import { echo, folder, house } from './harness/scenario.ts';
import { ask, get, openTls } from './harness/wire.ts';

test.each([
  ['TLS 1.3', false],
  ['TLS 1.2', true],
] as const)(
  'a revoked certificate does not come back by resuming a %s session: openssl’s, and Node’s',
  async (_, tls12) => {
    const home = await house();
    const worker = await home.issue('worker/etl-1');
    const gate = await home.serve({ upstream: (await echo()).url, flags: tls12 ? ['--min-tls', '1.2'] : [] });
    const credentials = await credentialsIn(worker);
    const session = join(await folder(), 'session.pem');
    const openssl = async (...flags: string[]): Promise<string> => {
      const ran = await finish(
        'openssl',
        [
          ...['s_client', '-connect', `127.0.0.1:${gate.port}`, '-CAfile', join(worker, 'ca.crt'), '-ign_eof'],
          ...[
            '-cert',
            join(worker, 'tls.crt'),
            '-key',
            join(worker, 'tls.key'),
            tls12 ? '-tls1_2' : '-tls1_3',
            ...flags,
          ],
        ],
        { env: cleanEnvironment(), input: get('/api/hello', 'Connection: close') },
      );
      return ran.stdout + ran.stderr;
    };

    expect(await openssl('-sess_out', session)).toContain('HTTP/1.1 200');
    const sessions: Buffer[] = [];
    const first = await openTls(gate.port, credentials, { tls12 });
    first.socket.on('session', (one: Buffer) => sessions.push(one));
    expect((await ask(first, get('/api/hello'))).status).toBe(200);
    const held = first.socket.getSession();
    if (held !== undefined) sessions.push(held);
    first.socket.destroy();

    await home.certgate(['revoke', 'worker/etl-1', '--config', home.config]);

    const resumed = await openssl('-sess_in', session);
    expect(resumed).toContain('HTTP/1.1 403');
    expect(resumed).not.toContain('HTTP/1.1 200');
    expect(sessions.length).toBeGreaterThan(0);
    for (const one of sessions) {
      const again = await openTls(gate.port, credentials, { session: one, tls12 });
      expect(again.socket.isSessionReused()).toBe(false);
      expect((await ask(again, get('/api/hello'))).status).toBe(403);
      again.socket.destroy();
    }
    // Nor does a session bring anybody in who has no certificate to show.
    for (const one of sessions) {
      const bare = await openTls(gate.port, { ca: credentials.ca }, { session: one, tls12 });
      expect((await ask(bare, get('/api/hello'))).status).toBe(403);
      bare.socket.destroy();
    }
  },
);
