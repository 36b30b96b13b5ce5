// Clients that know nothing of certgate: curl with openssl, and GlobalSign's estclient, by the very commands of docs/est.md.

import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { copyFile, mkdir } from 'node:fs/promises';
import { delimiter, join, resolve } from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { pemBlocks } from '../../src/pki/pem.ts';
import { certgateOnPath, paste as pasteIn, shellBlocks } from './harness/documented.ts';
import { newToken } from './harness/enrolment.ts';
import { credentialsIn, type House, type Serving } from './harness/house.ts';
import { cleanEnvironment } from './harness/processes.ts';
import { echo, folder, house } from './harness/scenario.ts';
import { ask, get, openTls } from './harness/wire.ts';

const root = resolve(import.meta.dirname, '../..');
const estclient = join(root, '.cache/estclient');
const has = (program: string): boolean => {
  try {
    execFileSync(program, ['--version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
};
const missing = {
  estclient: existsSync(join(estclient, 'estclient'))
    ? null
    : 'no estclient here: `scripts/setup estclient` builds it where there is Go and a C compiler',
  curl: has('curl') ? null : 'no curl here',
};
for (const reason of Object.values(missing)) if (reason !== null) process.stderr.write(`skipped: ${reason}\n`);

let home: House;
let gate: Serving;
beforeAll(async () => {
  home = await house();
  gate = await home.serve({ upstream: (await echo()).url });
}, 60_000);

/** The commands below a heading of the page, block by block, for the gate of this test. */
const blocksOf = (heading: string): readonly string[] =>
  shellBlocks('docs/est.md', heading).map((text) => text.replaceAll('gate.example:8443', `127.0.0.1:${gate.port}`));

/** Runs commands as a person pastes them, and answers what they printed; fails unless each of them does well. */
async function paste(commands: string, cwd: string): Promise<string> {
  const path = [certgateOnPath(join(home.dir, 'bin')), estclient, process.env['PATH'] ?? ''];
  return (await pasteIn(commands, { cwd, env: cleanEnvironment({ PATH: path.join(delimiter) }) })).stdout;
}

const certificatesOf = async (name: string) => {
  const { stdout } = await home.certgate(['list', name, '--json', '--config', home.config]);
  return (JSON.parse(stdout) as { certificates: { state: string; serial: string }[] }).certificates;
};

test.skipIf(missing.curl !== null)(
  'curl and openssl: the CA, a certificate by a token, the gate by the certificate, the next certificate',
  async () => {
    const machine = await folder();
    const [onGate = '', trust = '', enrol = '', renew = '', ...rest] = blocksOf('With curl and openssl');
    expect(rest).toEqual([]);
    const fingerprint = await paste(onGate, home.dir);
    await copyFile(join(home.dir, 'token'), join(machine, 'token'));
    expect(await paste(trust, machine)).toBe(fingerprint);
    // What the fingerprint was not of must not be trusted: who is in between can add to the list.
    expect(pemBlocks(readFileSync(join(machine, 'ca.crt'), 'utf8'), 'CERTIFICATE')).toHaveLength(1);
    const used = JSON.parse(await paste(enrol, machine)) as { headers: [string, string][] };
    expect(JSON.stringify(used)).toContain('worker/etl-1');
    const first = readFileSync(join(machine, 'tls.crt'), 'utf8');
    await paste(renew, machine);
    expect(readFileSync(join(machine, 'tls.crt'), 'utf8')).not.toBe(first);
    const wire = await openTls(gate.port, await credentialsIn(machine));
    expect((await ask(wire, get('/api/hello'))).status).toBe(200);
    expect(await certificatesOf('worker/etl-1')).toHaveLength(2);
  },
);

test.skipIf(missing.estclient !== null)(
  'estclient: cacerts, csrattrs, enroll, reenroll; a key of the server’s making is refused, and said so',
  async () => {
    const machine = await folder();
    // Its own identity: the commands are the page's but for the name.
    const commands = blocksOf('With estclient').join('').replaceAll('worker/etl-1', 'worker/etl-2');
    writeFileSync(join(machine, 'token'), await newToken(home, gate.port, 'worker/etl-2'), { mode: 0o600 });
    const said = await paste(commands, machine);
    expect(said).toContain('1.2.840.10045.3.1.7');
    const fingerprint = execFileSync('openssl', [
      'x509',
      '-in',
      join(home.dir, 'certs/ca.crt'),
      '-noout',
      '-fingerprint',
      '-sha256',
    ]);
    expect(said).toContain(String(fingerprint));
    expect(pemBlocks(readFileSync(join(machine, 'ca.crt'), 'utf8'), 'CERTIFICATE')).toHaveLength(1);
    expect(await certificatesOf('worker/etl-2')).toHaveLength(2);
    const again = `estclient reenroll -server 127.0.0.1:${gate.port} -explicit ca.crt -certs next.crt -key next.key`;
    await expect(paste(again, machine)).rejects.toThrow('a renewal is for a new key');
    const keygen = `estclient serverkeygen -server 127.0.0.1:${gate.port} -explicit ca.crt -key next.key -cn x`;
    await expect(paste(keygen, machine)).rejects.toThrow('keys are made where they are used');
    const wrong = `estclient enroll -server 127.0.0.1:${gate.port} -explicit ca.crt -key next.key -cn x -user x -pass y`;
    await expect(paste(wrong, machine)).rejects.toThrow('enrolment refused; the log of the gate says why');
  },
);

test.skipIf(missing.curl !== null)(
  'a renewal by a superseded certificate locks the identity, as one by certgate’s own way does',
  async () => {
    const machine = await folder();
    const name = 'worker/etl-3';
    const [, trust = '', enrol = '', renew = ''] = blocksOf('With curl and openssl').map((text) =>
      text.replaceAll('etl-1', 'etl-3'),
    );
    writeFileSync(join(machine, 'token'), await newToken(home, gate.port, name), { mode: 0o600 });
    await paste(trust + enrol, machine);
    const thief = join(machine, 'thief');
    await mkdir(thief);
    for (const file of ['ca.crt', 'tls.crt', 'tls.key']) await copyFile(join(machine, file), join(thief, file));
    await paste(renew, machine);
    const wire = await openTls(gate.port, await credentialsIn(machine));
    expect((await ask(wire, get('/api/hello'))).status).toBe(200);
    // The successor is noted as seen beside the request that it made.
    await gate.logged(({ msg, identity }) => msg === 'request' && identity === name);
    await expect
      .poll(
        async () => {
          await paste(renew, thief).catch(() => {});
          return (await home.certgate(['locks', '--json', '--config', home.config])).stdout;
        },
        { timeout: 30_000 },
      )
      .toContain(name);
    await gate.logged(({ msg, identity }) => msg === 'a superseded certificate was used again' && identity === name);
    await expect(paste(renew, machine)).rejects.toThrow('403');
    expect(readFileSync(join(machine, 'answer'), 'utf8')).toContain('is locked');
  },
);
