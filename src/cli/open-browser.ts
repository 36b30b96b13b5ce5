// Opens an address in the browser of whoever is at this machine, without a shell in between. Whatever happens to it, the address
// stands on the terminal: nothing here fails. The browser outlives the command, and gets none of its secrets.
import { spawn } from 'node:child_process';
import { platform } from 'node:os';
import { withoutSecrets } from './run.ts';

/** `url`: absolute, so that no program takes it for an option. BROWSER is the program, where it is set and not empty. */
export function openBrowser(url: string, env: NodeJS.ProcessEnv): void {
  const named = env['BROWSER'] ?? '';
  const program = named === '' ? (platform() === 'darwin' ? 'open' : 'xdg-open') : named;
  try {
    const child = spawn(program, [url], { stdio: 'ignore', detached: true, env: withoutSecrets(env, null) });
    child.on('error', () => {});
    child.unref();
  } catch {
    // Some of the system's errors are thrown by spawn.
  }
}
