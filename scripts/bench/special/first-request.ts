// From `certgate run --token-file` on a machine that has nothing yet to its command's first answered request, in ms: the start
// of certgate, a key, enrolment, the sidecar, the start of the command, and the way through both sidecars. The command is the
// smallest Node program that asks; what it needs itself is measured beside it.

import { execFile } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { mainOf } from '../build.ts';
import { certgateFrom } from '../contestants/certgate.ts';
import { launch } from '../field.ts';
import { say } from '../processes.ts';
import { OURS } from '../rows.ts';
import { quantileOf } from '../statistics.ts';
import type { SpecialWork } from './stage.ts';

const TRIES_PER_ROUND = 5;

/** Prints when it was answered, by the clock of performance, and with what. */
const COMMAND = `require('node:http').get(process.env.PREFECT_API_URL + '/admin/version', (answer) => {
  answer.resume().on('end', () => console.log(performance.timeOrigin + performance.now(), answer.statusCode));
})`;

export const firstRequest: SpecialWork = {
  name: 'first-request',
  title: 'from `certgate run --token-file` to the first answered request of its command',
  async run({ options, ground }) {
    const { authorityDir } = ground.certificates;
    const main = mainOf(options.form);
    const running = await launch(certgateFrom(options.form), ground);
    const run = promisify(execFile);
    const home = join(ground.dir, 'first-request');
    mkdirSync(home, { recursive: true });
    const command = [process.execPath, '-e', COMMAND] as const;

    /** @returns ms from the start of `words` to the moment that it printed */
    const timed = async (words: readonly string[], cwd: string, env: NodeJS.ProcessEnv): Promise<number> => {
      const began = performance.timeOrigin + performance.now();
      const [program = '', ...args] = words;
      const { stdout } = await run(program, args, { cwd, env });
      const [at, status] = stdout.trim().split(' ');
      if (status !== '200') throw new Error(`the command was answered with ${stdout}`);
      return Number(at) - began;
    };

    const joined: number[] = [];
    const again: number[] = [];
    const bare: number[] = [];
    try {
      for (let i = 0; i < options.rounds * TRIES_PER_ROUND; i++) {
        const dir = join(home, String(i));
        mkdirSync(dir);
        const gate = `https://localhost:${running.port}`;
        const made = await run(process.execPath, [main, 'token', 'create', `worker/first-${i}`, '--gate', gate], {
          cwd: authorityDir,
        });
        const tokenFile = join(dir, 'token');
        writeFileSync(tokenFile, made.stdout, { mode: 0o600 });
        const env = {
          ...process.env,
          HOME: dir,
          XDG_CONFIG_HOME: join(dir, 'config'),
          XDG_STATE_HOME: join(dir, 'state'),
        };
        const words = [process.execPath, main, 'run', '--token-file', tokenFile, '--', ...command];
        joined.push(await timed(words, dir, env));
        again.push(await timed(words, dir, env));
        const direct = `http://127.0.0.1:${ground.upstreamPort}/api`;
        bare.push(await timed(command, dir, { ...env, PREFECT_API_URL: direct }));
      }
    } finally {
      await running.stop();
    }
    say(`first-request: ${joined.map((ms) => ms.toFixed(0)).join(' ')} ms`);
    const row = (name: string, values: readonly number[]) => {
      return { name, unit: 'ms', figures: [{ contestant: OURS, values }] };
    };
    return {
      rows: [row('first-request', joined), row('first-request, enrolled already', again)],
      notes: [`the command alone, without certgate, needs ${quantileOf(bare, 0.5).toFixed(0)} ms of it`],
    };
  },
};
