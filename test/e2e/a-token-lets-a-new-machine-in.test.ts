import { readdirSync, readFileSync, statSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { readToken } from '../../src/enroll/token.ts';
import { newToken, startHoldingRelay } from './harness/enrolment.ts';
import { certgateCommand, type House, makeHouse, type Serving } from './harness/house.ts';
import { cleanEnvironment, finish, start } from './harness/processes.ts';
import { atEnd, echo, folder, house } from './harness/scenario.ts';
import { openTls } from './harness/wire.ts';

let home: House;
let upstream: string;
let gate: Serving;
beforeAll(async () => {
  home = await house();
  upstream = (await echo()).url;
  gate = await home.serve({ upstream });
}, 60_000);

const ASK = `const a = await fetch(process.env.PREFECT_API_URL + '/hello');
  console.log(JSON.stringify({ status: a.status, token: process.env.CERTGATE_TOKEN ?? null,
    identity: (await a.json()).headers.find(([name]) => name === 'x-certgate-identity')[1] }));`;
const certgate = (cwd: string, args: readonly string[], extra: NodeJS.ProcessEnv = {}, input?: string) =>
  finish(...certgateCommand(args), { env: cleanEnvironment(extra), cwd, ...(input === undefined ? {} : { input }) });
const issuedTo = async (name: string): Promise<readonly { serial: string }[]> => {
  const { stdout } = await home.certgate(['list', name, '--json', '--config', home.config]);
  return (JSON.parse(stdout) as { certificates: { serial: string }[] }).certificates;
};

describe.each([1, 2])('with a gate of %i worker(s), a machine that has nothing but a token', (workers) => {
  let [at, serving] = [home, gate];
  beforeAll(async () => {
    [at, serving] = [home, gate];
    if (workers === 1) return;
    at = await house();
    serving = await at.serve({ upstream, flags: ['--workers', String(workers)] });
  }, 60_000);

  test('runs its command behind a certificate of its own, from a file, a variable or the command line', async () => {
    const machine = await folder();
    const ways: ReadonlyArray<
      [flags: (token: string) => readonly string[], env: (token: string) => NodeJS.ProcessEnv]
    > = [
      [() => ['--token-file', 'token'], () => ({})],
      [() => [], (token) => ({ CERTGATE_TOKEN: token })],
      [(token) => ['--token', token], () => ({})],
    ];
    for (const [i, [flags, env]] of ways.entries()) {
      const name = `worker/w${workers}-${i}`;
      const token = await newToken(at, serving.port, name);
      await writeFile(join(machine, 'token'), `${token}\n`, { mode: 0o600 });
      const args = ['run', ...flags(token), '--', process.execPath, '--input-type=module', '-e', ASK];
      const ran = await certgate(machine, args, env(token));
      expect(ran.code, ran.stderr).toBe(0);
      expect(JSON.parse(ran.stdout)).toMatchObject({ status: 200, identity: name, token: null });
      const made = join(machine, name.replace('/', '-'));
      expect(
        readdirSync(made)
          .filter((one) => one !== '.ca.crt.number')
          .toSorted(),
      ).toEqual(['ca.crt', 'tls.crt', 'tls.key']);
      expect(statSync(join(made, 'tls.key')).mode & 0o777).toBe(0o600);
    }
    expect(readdirSync(machine).filter((one) => one.startsWith('.'))).toEqual([]);
  });
});

describe('a machine that enrols', () => {
  test('does not show its token in the list of processes when it is in a file or comes by standard input', async () => {
    const machine = await folder();
    const token = await newToken(home, gate.port, 'worker/quiet');
    await writeFile(join(machine, 'token'), token);
    const command = certgateCommand(['run', '--token-file', 'token', '--', 'sleep', '60']);
    const running = start(...command, { env: cleanEnvironment(), cwd: machine });
    await gate.logged(({ msg, identity }) => msg === 'enrolled' && identity === 'worker/quiet');
    const secret = token.slice(20, 60);
    expect(readFileSync(`/proc/${running.pid}/cmdline`, 'utf8')).toContain('token');
    expect(readFileSync(`/proc/${running.pid}/cmdline`, 'utf8')).not.toContain(secret);
    await running.stop();

    const other = await newToken(home, gate.port, 'worker/quieter');
    const enrolled = await certgate(machine, ['enroll', '--token-file', '-', '--out', 'stdin'], {}, `${other}\n`);
    expect(enrolled.code, enrolled.stderr).toBe(0);
    expect(enrolled.stderr).toContain('enrolled as worker/quieter');
  });

  test('uses no token where it has a certificate already', async () => {
    const machine = await folder();
    const token = await newToken(home, gate.port, 'worker/again');
    for (let i = 0; i < 2; i++) {
      const ran = await certgate(machine, ['run', '--token', token, '--', 'true']);
      expect(ran.code, ran.stderr).toBe(0);
    }
    expect(await issuedTo('worker/again')).toHaveLength(1);
  });

  test.each(['is lost', 'is lost, and the machine with it'] as const)(
    'gets the same certificate when the answer %s',
    async (how) => {
      const machine = await folder();
      const name = how === 'is lost' ? 'worker/lost' : 'worker/killed';
      const relay = await startHoldingRelay(gate.port, 2);
      atEnd(() => relay.stop());
      const command = certgateCommand(['enroll', await newToken(home, relay.port, name), '--out', 'identity']);
      const first = start(...command, { env: cleanEnvironment(), cwd: machine });
      const { serial } = await gate.logged(({ msg, identity }) => msg === 'enrolled' && identity === name);
      if (how !== 'is lost') await first.stop('SIGKILL');
      expect(readdirSync(machine)).not.toContain('identity');
      relay.release();
      const last = how === 'is lost' ? first : start(...command, { env: cleanEnvironment(), cwd: machine });
      expect((await last.exited).code, last.stderr()).toBe(0);
      expect(last.stderr()).toContain(String(serial));
      expect(await issuedTo(name)).toMatchObject([{ serial }]);
      expect(readdirSync(machine).filter((one) => one.includes('enrolling-'))).toEqual([]);
    },
  );

  test('that was killed when all was done finds it done, and keeps no second copy of its key', async () => {
    const machine = await folder();
    const token = await newToken(home, gate.port, 'worker/done');
    const [enroll, run] = [
      ['enroll', token, '--out', 'identity'],
      ['run', '--token', token, '--identity', 'identity', '--', 'true'],
    ];
    const first = await certgate(machine, enroll);
    expect(first.code, first.stderr).toBe(0);
    const left = join(machine, `.identity.enrolling-${readToken(token).id}`);
    for (const args of [enroll, run]) {
      // As a kill leaves it between the folder's name and the end.
      await writeFile(left, readFileSync(join(machine, 'identity/tls.key')), { mode: 0o600 });
      const again = await certgate(machine, args);
      expect(again.code, again.stderr).toBe(0);
      if (args === enroll) expect(again.stderr).toContain(first.stderr.slice(0, first.stderr.indexOf(', until')));
      expect(readdirSync(machine)).toEqual(['identity']);
    }
    expect((await certgate(machine, enroll)).stderr).toContain('CG_OUT_EXISTS');
    expect(await issuedTo('worker/done')).toHaveLength(1);
  });

  test('is refused with a token that another has used; token and identity are flagged', async () => {
    const [machine, thief] = [await folder(), await folder()];
    const token = await newToken(home, gate.port, 'worker/robbed');
    expect((await certgate(machine, ['enroll', token])).code).toBe(0);
    const second = await certgate(thief, ['enroll', token]);
    expect(second.code).toBe(3);
    expect(second.stderr).toContain('CG_ENROLL_REFUSED');
    const [told, hint] = second.stderr.split('\n');
    expect(told).not.toContain('used up');
    expect(hint).toContain('A token may be used up, expired or revoked');
    expect(readdirSync(thief)).toEqual([]);
    expect(
      await gate.logged(({ msg, reason }) => msg === 'enrolment refused' && String(reason).includes('another key')),
    ).toMatchObject({
      look: expect.stringContaining('worker/robbed') as string,
    });
    const { stdout } = await home.certgate(['token', 'list', '--json', '--config', home.config]);
    const { tokens } = JSON.parse(stdout) as { tokens: { subject: string; flag: string | null }[] };
    expect(tokens.find(({ subject }) => subject === 'worker/robbed')?.flag).toContain('another key');
    const audit = await home.certgate(['audit', '--identity', 'worker/robbed', '--config', home.config]);
    expect(audit.stdout).toContain('token.misuse');
  });

  test('tells its token to nobody but a gate of the CA that made it', async () => {
    const machine = await folder();
    const other = await makeHouse(join(await folder(), 'other'));
    const impostor = await other.serve({ upstream });
    const ran = await certgate(machine, ['enroll', await newToken(home, impostor.port, 'worker/lured')]);
    expect(ran.code).toBe(3);
    expect(ran.stderr).toContain('CG_ENROLL_PIN');
    expect(impostor.log().some(({ msg }) => msg.startsWith('enrol'))).toBe(false);
    expect(readdirSync(machine).filter((one) => !one.startsWith('.'))).toEqual([]);
  });

  test.each([
    ['mangled', (token: string) => token.slice(0, -3), 2, 'cut short or changed'],
    ['of a later version', (token: string) => token.replace('cgt1', 'cgt9'), 2, 'later version'],
  ] as const)('is told at once that its token is %s', async (_what, change, code, words) => {
    const ran = await certgate(await folder(), ['enroll', change(await newToken(home, gate.port, 'worker/x'))]);
    expect([ran.code, ran.stderr]).toEqual([code, expect.stringContaining(words)]);
  });
});

test('who has no certificate may send nothing else to the gate than before', async () => {
  const { ca } = await credentials();
  for (const first of [
    'POST /api/flows/ HTTP/1.1',
    'POST /.well-known/certgate/enroll/ HTTP/1.1',
    'GET /.well-known/certgate/enroll HTTP/1.1',
    'POST /.well-known/certgate/renew HTTP/1.1',
  ]) {
    const wire = await openTls(gate.port, { ca });
    wire.send(`${first}\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n`);
    const { status, body } = await wire.answer();
    expect([first, status, body.toString()]).toEqual([
      first,
      403,
      '{"detail":"certgate: a client certificate is required"}',
    ]);
  }
  const wire = await openTls(gate.port, { ca });
  wire.send('POST /.well-known/certgate/enroll HTTP/1.1\r\nHost: localhost\r\nContent-Length: 16385\r\n\r\n');
  expect((await wire.answer()).status).toBe(413);
});

async function credentials(): Promise<{ readonly ca: string }> {
  return { ca: readFileSync(join(home.dir, 'certs/ca.crt'), 'utf8') };
}
