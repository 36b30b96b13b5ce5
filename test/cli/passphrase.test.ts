import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { openSqliteStore } from '../../src/store/sqlite.ts';
import { openShell, type Shell } from './golden.ts';

const python = join(import.meta.dirname, '../../.cache/prefect/bin/python');
const terminal = join(import.meta.dirname, 'terminal.py');
const PASSPHRASE = 'correct-horse-4711-staple';

const running: Array<{ kill(signal: NodeJS.Signals): boolean }> = [];
afterEach(() => {
  for (const child of running.splice(0)) child.kill('SIGKILL');
});

const firstLine = (path: string): string => readFileSync(path, 'utf8').split('\n')[0] ?? '';

/** A CA whose keys are encrypted; the passphrase is in the file `pass` beside, which the configuration names not. */
function encryptedCa(): Shell {
  const shell = openShell();
  writeFileSync(join(shell.dir, 'pass'), `${PASSPHRASE}\n`, { mode: 0o600 });
  expect(shell.run(`CERTGATE_PASSPHRASE=${PASSPHRASE} certgate init --name localhost`).status).toBe(0);
  return shell;
}

/** Runs certgate at a terminal and types the answers. */
function typed(shell: Shell, answers: readonly string[], ...args: readonly string[]) {
  const keys = JSON.stringify(answers.map((answer) => `${answer}\r`));
  const { stdout } = spawnSync(python, [terminal, keys, 'certgate', ...args], {
    cwd: shell.dir,
    env: { ...shell.env },
    encoding: 'utf8',
    timeout: 240_000,
  });
  const { screen, status, echo } = JSON.parse(stdout) as { screen: string; status: number; echo: boolean };
  expect(echo).toBe(true);
  return { shown: screen, status };
}

describe("the CA's passphrase comes from", () => {
  test('a file, which init writes into the configuration', () => {
    const shell = openShell();
    writeFileSync(join(shell.dir, 'pass'), PASSPHRASE, { mode: 0o600 });
    expect(shell.run('certgate init --passphrase-file pass').status).toBe(0);
    for (const key of ['root.key', 'issuer.key']) {
      expect(firstLine(join(shell.dir, 'certs', key))).toBe('-----BEGIN ENCRYPTED PRIVATE KEY-----');
      const openssl = shell.run(`openssl pkey -in certs/${key} -passin file:pass -noout`);
      expect(openssl.status).toBe(0);
    }
    expect(shell.run('certgate issue worker/etl-1').status).toBe(0);
  });

  test('a pipe, which init leaves out of the configuration: nobody else could read it again', () => {
    const shell = openShell();
    const made = shell.run(`echo ${PASSPHRASE} | certgate init --passphrase-file /dev/stdin`);
    expect([made.status, made.stderr]).toEqual([0, expect.stringContaining('its keys encrypted')]);
    expect(firstLine(join(shell.dir, 'certs', 'issuer.key'))).toBe('-----BEGIN ENCRYPTED PRIVATE KEY-----');
    expect(readFileSync(join(shell.dir, 'certgate.yaml'), 'utf8')).not.toMatch(/^ *passphraseFile:/m);
    expect(shell.run(`CERTGATE_PASSPHRASE=${PASSPHRASE} certgate issue worker/a`).status).toBe(0);
  });

  test('a file as stdin, which the next command has not', () => {
    const shell = openShell();
    shell.run(`(umask 077; echo ${PASSPHRASE} > given)`);
    expect(shell.run('certgate init --passphrase-file /dev/stdin < given').status).toBe(0);
    expect(readFileSync(join(shell.dir, 'certgate.yaml'), 'utf8')).not.toMatch(/^ *passphraseFile:/m);
  });

  test('no device, and nobody is told to take /dev/null from all others', () => {
    const { status, stderr } = encryptedCa().run('certgate issue worker/a --passphrase-file /dev/null');
    expect([status, stderr]).toEqual([5, expect.stringContaining('hint: name a file of your own, mode 0600')]);
    expect(stderr).not.toContain('chmod');
  });

  test('the environment, and a file goes before it', () => {
    const shell = encryptedCa();
    expect(shell.run(`CERTGATE_PASSPHRASE=${PASSPHRASE} certgate issue worker/a`).status).toBe(0);
    expect(shell.run('CERTGATE_PASSPHRASE=another certgate issue worker/b --passphrase-file pass').status).toBe(0);
    expect(shell.run('CERTGATE_PASSPHRASE= certgate issue worker/c --passphrase-file pass').status).toBe(0);
  });

  test('nowhere, and is of no use, for keys that were made before it; who set it is told', () => {
    const shell = openShell();
    expect(shell.run('certgate init').status).toBe(0);
    const warning =
      /^warning: .*certs\/issuer\.key is not encrypted, though there is a passphrase: encrypt it with certgate ca passphrase$/m;
    expect(shell.run('certgate issue worker/a').stderr).not.toContain('warning');
    const told = shell.run(`CERTGATE_PASSPHRASE=${PASSPHRASE} certgate issue worker/b`);
    expect([told.status, told.stderr]).toEqual([0, expect.stringMatching(warning)]);
    writeFileSync(join(shell.dir, 'pass'), PASSPHRASE, { mode: 0o600 });
    expect(shell.run('certgate ca passphrase --new-passphrase-file pass').status).toBe(0);
    expect(shell.run('certgate issue worker/c --passphrase-file pass').stderr).not.toContain('warning');
  });

  test("systemd's credential certgate-passphrase, found by itself", () => {
    const shell = encryptedCa();
    const folder = join(shell.dir, 'credentials');
    mkdirSync(folder);
    // As systemd makes it where the file system has ACLs.
    writeFileSync(join(folder, 'certgate-passphrase'), PASSPHRASE, { mode: 0o440 });
    expect(shell.run(`CREDENTIALS_DIRECTORY=${folder} certgate issue worker/a`).status).toBe(0);
    expect(shell.run(`CREDENTIALS_DIRECTORY=${shell.dir} certgate issue worker/b`).stderr).toContain('CG_PASSPHRASE');
  });

  test('no argument: there is none that takes it', () => {
    const shell = openShell();
    for (const command of ['init', 'issue', 'serve', 'connect', 'run', 'ca passphrase']) {
      const { stdout } = shell.run(`certgate ${command} --help`);
      expect(stdout).toContain('--passphrase-file <PATH>');
      expect(stdout).not.toMatch(/--(new-)?passphrase[ =<]/);
    }
  });

  test('nowhere: issue says where it could come from, and changes nothing', () => {
    const shell = encryptedCa();
    const { status, stderr } = shell.run('certgate issue worker/a');
    expect(status).toBe(5);
    expect(stderr).toMatch(
      /^error: .*issuer\.key: the private key is encrypted.* \[CG_PASSPHRASE\]\nhint: .*CERTGATE_PASSPHRASE/,
    );
    expect(existsSync(join(shell.dir, 'worker-a'))).toBe(false);
    const init = openShell().run('certgate init --encrypt');
    expect(init.stderr).toContain('[CG_PASSPHRASE]');
    expect(init.status).toBe(5);
  });
});

describe.skipIf(!existsSync(python))('at a terminal (skipped without .cache/prefect/bin/python)', () => {
  test('init --encrypt asks twice, issue once, and neither shows what is typed', () => {
    const shell = openShell();
    const made = typed(shell, [PASSPHRASE, PASSPHRASE], 'init', '--encrypt');
    expect(made).toMatchObject({ status: 0 });
    expect(made.shown).toContain("new passphrase for the CA's keys: ");
    expect(made.shown).toContain('the same again: ');
    expect(firstLine(join(shell.dir, 'certs/root.key'))).toContain('ENCRYPTED');
    const issued = typed(shell, [PASSPHRASE], 'issue', 'worker/etl-1');
    expect(issued).toMatchObject({ status: 0 });
    expect(issued.shown.match(/passphrase/g)).toHaveLength(1);
    expect(made.shown + issued.shown).not.toContain(PASSPHRASE.slice(0, 4));
  });

  test('init refuses two that differ, and one that is too short before it asks again', () => {
    const shell = openShell();
    const differ = typed(shell, [PASSPHRASE, 'correct-horse-4711-stable'], 'init', '--encrypt');
    expect(differ.shown).toContain('are not the same');
    const short = typed(shell, ['seven77'], 'init', '--encrypt');
    expect(short.shown).toContain('shorter than 8 characters');
    expect(short.shown).not.toContain('again');
    expect([differ.status, short.status]).toEqual([5, 5]);
    expect(readdirSync(shell.dir)).toEqual([]);
  });

  test('ca passphrase asks for the old and twice for the new one; Ctrl-C leaves all as it was', () => {
    const shell = encryptedCa();
    const before = readFileSync(join(shell.dir, 'certs/issuer.key'), 'utf8');
    const left = typed(shell, ['\x03'], 'ca', 'passphrase');
    expect(left.status).toBe(-2); // SIGINT
    expect(readFileSync(join(shell.dir, 'certs/issuer.key'), 'utf8')).toBe(before);
    const next = 'another-horse-4712';
    expect(typed(shell, [PASSPHRASE, next, next], 'ca', 'passphrase')).toMatchObject({ status: 0 });
    expect(shell.run('certgate issue worker/a --passphrase-file pass').stderr).toContain('CG_PASSPHRASE');
    expect(shell.run(`CERTGATE_PASSPHRASE=${next} certgate issue worker/a`).status).toBe(0);
  });
});

describe('ca passphrase', () => {
  test('changes, removes and sets it, from files, and leaves a line in the records each time', async () => {
    const shell = encryptedCa();
    writeFileSync(join(shell.dir, 'next'), 'another-horse-4712\n', { mode: 0o600 });
    expect(shell.run('certgate ca passphrase --passphrase-file pass --new-passphrase-file next').status).toBe(0);
    expect(shell.run('certgate issue worker/a --passphrase-file next').status).toBe(0);
    expect(shell.run('certgate ca passphrase --passphrase-file next --remove').status).toBe(0);
    expect(firstLine(join(shell.dir, 'certs/issuer.key'))).toBe('-----BEGIN PRIVATE KEY-----');
    const set = shell.run('certgate ca passphrase --passphrase-file pass --json');
    expect(JSON.parse(set.stdout)).toMatchObject({ encrypted: true });
    expect(shell.run('certgate issue worker/b --passphrase-file pass').status).toBe(0);
    const store = openSqliteStore(join(shell.dir, 'state/certgate.db'));
    const acts = (await store.listAudit({ afterId: 0, limit: 100 })).filter((one) => one.action === 'ca.passphrase');
    await store.close();
    expect(acts.map(({ detail }) => detail['encrypted'])).toEqual([true, false, true]);
  });

  test('without a terminal and without a new one says what is missing', () => {
    const shell = openShell();
    expect(shell.run('certgate init').status).toBe(0);
    const { status, stderr } = shell.run('certgate ca passphrase');
    expect(status).toBe(2);
    expect(stderr).toContain('--new-passphrase-file FILE');
  });
});

describe("an outbound sidecar's encrypted key", () => {
  const encryptedWorker = (): Shell => {
    const shell = encryptedCa();
    expect(shell.run('certgate issue worker/a --passphrase-file pass').status).toBe(0);
    const how = '-topk8 -v2 aes-256-cbc -iter 600000 -passout file:pass';
    const made = shell.run(`umask 077; openssl pkcs8 -in worker-a/tls.key -out k ${how} && mv k worker-a/tls.key`);
    expect(made.status).toBe(0);
    return shell;
  };

  test('is opened by connect.passphraseFile or CERTGATE_PASSPHRASE, which the wrapped command does not get', () => {
    const shell = encryptedWorker();
    const run = 'certgate run --gate https://127.0.0.1:1 --identity worker-a';
    const byFile = shell.run(`${run} --passphrase-file pass -- sh -c 'echo ran; env'`);
    expect(byFile.stdout).toMatch(/^ran\n/);
    const byVariable = shell.run(`CERTGATE_PASSPHRASE=${PASSPHRASE} ${run} -- sh -c 'echo ran; env'`);
    expect(byVariable.stdout).toMatch(/^ran\n/);
    expect(byVariable.stdout).toContain('PREFECT_API_URL=');
    expect(byVariable.stdout + byVariable.stderr + byFile.stdout + byFile.stderr).not.toContain(PASSPHRASE);
  });

  test('with a wrong or no passphrase starts nothing, and says why', () => {
    const shell = encryptedWorker();
    const run = 'certgate run --gate https://127.0.0.1:1 --identity worker-a -- echo ran';
    for (const variable of ['', 'CERTGATE_PASSPHRASE=wrong-horse-4711 ']) {
      const { stdout, stderr, status } = shell.run(variable + run);
      expect(stdout).toBe('');
      expect(stderr).toMatch(/^error: .*tls\.key: .* \[CG_PASSPHRASE\]\nhint: /);
      expect(stderr).not.toContain('horse');
      expect(status).toBe(5);
    }
  });
});

describe('a passphrase is', () => {
  test('in no log line, no error, no argument, and in no worker of a gate', async () => {
    const shell = encryptedCa();
    const env = { ...shell.env, CERTGATE_PASSPHRASE: PASSPHRASE };
    const args = ['serve', '--listen', '127.0.0.1:0', '--log-level', 'debug', '--workers', '2'];
    const gate = spawn('certgate', args, { cwd: shell.dir, env, stdio: ['ignore', 'pipe', 'pipe'] });
    running.push(gate);
    let log = '';
    const children = new Set<string>();
    await new Promise<void>((resolve, reject) => {
      gate.once('exit', () => reject(new Error(log)));
      for (const stream of [gate.stdout, gate.stderr]) {
        stream.setEncoding('utf8').on('data', (text: string) => {
          log += text;
          for (const [, pid = ''] of log.matchAll(/"worker":\d+,"pid":(\d+)/g)) children.add(pid);
          if (log.includes('"listening"')) resolve();
        });
      }
    });
    expect(children.size).toBe(2);
    for (const pid of [String(gate.pid), ...children]) {
      expect(readFileSync(`/proc/${pid}/cmdline`, 'utf8')).not.toContain(PASSPHRASE);
    }
    for (const pid of children) expect(readFileSync(`/proc/${pid}/environ`, 'utf8')).not.toContain(PASSPHRASE);
    gate.kill('SIGTERM');
    await once(gate, 'close');
    expect(log).not.toContain(PASSPHRASE);
    const wrong = shell.run('CERTGATE_PASSPHRASE=wrong-horse-4711 certgate serve --listen 127.0.0.1:0');
    expect(wrong.stderr).toMatch(/^error: .*CERTGATE_PASSPHRASE does not open it \[CG_PASSPHRASE\]\nhint: [^\n]*\n$/);
    expect(wrong.status).toBe(5);
  });
});
