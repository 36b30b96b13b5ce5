// Golden tests of the command line: each golden/*.txt is a transcript that anyone can read, and the test runs it again.
// A paragraph is `# words`, or `$ a shell command` and under it what it wrote: stdout as it is, stderr behind `2>`, and
// `exit N` when that is not 0. Commands run one after another in one new folder, with `certgate` as npm would
// install it: a link to the built main.js. What differs from run to run is written as <dir>, <time>, <serial>, ….
// `npx vitest run test/cli --project unit --update` writes the transcripts anew; read the diff before you believe it.
import { spawn, spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, realpathSync, symlinkSync, writeFileSync } from 'node:fs';
import { hostname, tmpdir, userInfo } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { inject } from 'vitest';

/** A new folder with `certgate` (and `unprivileged COMMAND`) on a PATH of its own. */
export interface Shell {
  readonly dir: string;
  readonly env: Readonly<Record<string, string>>;
  /** Runs a shell command in `dir`. */
  run(command: string): Ended;
  /** Runs certgate in `dir` and lets this process go on: it may be the gate or the server that certgate talks to. */
  certgate(...args: readonly string[]): Promise<Ended>;
}

export interface Ended {
  readonly stdout: string;
  readonly stderr: string;
  /** The exit code; null when a signal ended it. */
  readonly status: number | null;
}

export function openShell(): Shell {
  const place = realpathSync(mkdtempSync(join(tmpdir(), 'certgate-cli-')));
  const [dir, bin] = [join(place, 'work'), join(place, 'bin')];
  for (const folder of [dir, bin]) mkdirSync(folder);
  for (const folder of [place, dir, bin]) chmodSync(folder, 0o755);
  symlinkSync(inject('certgate'), join(bin, 'certgate'));
  const unprivileged = `#!/bin/sh
[ "$(id -u)" = 0 ] && exec setpriv --reuid 65534 --regid 65534 --clear-groups -- "$@"
exec "$@"
`;
  writeFileSync(join(bin, 'unprivileged'), unprivileged, { mode: 0o755 });
  const PATH = [bin, dirname(process.execPath), '/usr/local/bin', '/usr/bin', '/bin'].join(delimiter);
  const { NODE_COMPILE_CACHE } = process.env;
  const env = {
    PATH,
    HOME: dir,
    LANG: 'C.UTF-8',
    TZ: 'UTC',
    ...(NODE_COMPILE_CACHE !== undefined && { NODE_COMPILE_CACHE }),
  };
  return {
    dir,
    env,
    run(command) {
      const { stdout, stderr, status, error } = spawnSync('/bin/sh', ['-c', command], {
        cwd: dir,
        env,
        encoding: 'utf8',
        timeout: 240_000,
        umask: 0o022,
      } as Parameters<typeof spawnSync>[2] & { encoding: 'utf8' });
      if (error !== undefined) throw error;
      return { stdout, stderr, status };
    },
    certgate: (...args) =>
      new Promise((resolve, reject) => {
        const child = spawn('certgate', args, { cwd: dir, env, stdio: ['ignore', 'pipe', 'pipe'] });
        let [stdout, stderr] = ['', ''];
        child.stdout.setEncoding('utf8').on('data', (text: string) => {
          stdout += text;
        });
        child.stderr.setEncoding('utf8').on('data', (text: string) => {
          stderr += text;
        });
        child.once('error', reject);
        child.once('close', (status) => resolve({ stdout, stderr, status }));
      }),
  };
}

/** Runs the commands of a transcript and answers the transcript as it is now. */
export function replay(transcript: string): string {
  const shell = openShell();
  const paragraphs = transcript.trim().split(/\n\n+/);
  const now = paragraphs.map((paragraph) => {
    const [first = ''] = paragraph.split('\n');
    if (!first.startsWith('$ ')) return paragraph;
    const { stdout, stderr, status } = shell.run(first.slice(2));
    const written = [
      ...linesOf(stdout).map((line) => (line === '' ? '<empty line>' : line)),
      ...linesOf(stderr).map((line) => `2> ${line}`.trimEnd()),
    ].map((line) => timeless(line, shell.dir));
    return [first, ...written, ...(status === 0 ? [] : [`exit ${status}`])].join('\n');
  });
  return `${now.join('\n\n')}\n`;
}

function linesOf(text: string): string[] {
  return text === '' ? [] : text.replace(/\n$/, '').split('\n');
}

/** Takes out what differs between two runs. */
export function timeless(line: string, dir: string): string {
  const user = `cli:${userInfo().username}@${hostname().toLowerCase()}`;
  return (line.includes(user) ? line.replaceAll(/ {2,}/g, '  ') : line)
    .replaceAll(user, 'cli:<user>@<host>')
    .replaceAll(dir, '<dir>')
    .replaceAll(/\bcgt1_[\w-]+/g, '<token>') // before the host, whose name may be among its letters
    .replaceAll(hostname().toLowerCase(), '<host>')
    .replaceAll(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, '<time>')
    .replaceAll(/\b(?:\d+[dhms](?:\d+[hms])+|\d{4}h)\b/g, '<duration>')
    .replaceAll(/within \d+ ms/g, 'within <interval>')
    .replaceAll(/\b[0-9a-f]{64}\b/g, '<sha-256>')
    .replaceAll(/\b[0-9a-f]{40}\b/g, '<key id>')
    .replaceAll(/\b[0-9a-f]{26,32}\b/g, '<serial>')
    .replaceAll(/\b[0-9a-f]{16}\b/g, '<token id>');
}
