// Who is not let in, and what each is told: a client without a certificate, one with a certificate of the same name from
// another CA, and one whose certificate has expired. What stands here is the answer itself, as it came over the wire.

import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { ask, type Credentials, credentialsIn, expiredCredentials, inWords, type Outcome } from './clients.ts';
import type { Place } from './place.ts';
import { finish } from './processes.ts';
import { quote, step, title } from './screen.ts';
import type { Demo } from './start.ts';

const PATH = '/api/admin/version';

export async function showRefusals({ place, port }: Demo): Promise<void> {
  title('Who is not let in, and what each is told');
  const { ca } = credentialsIn(join(place.dir, 'user-alice'));
  await refused('no certificate', port, async () => ({ ca }));
  await refused("a stranger's certificate: worker/etl-1 of another CA", port, async () => ({
    ...(await strangersCredentials(place)),
    ca,
  }));
  await refused(
    'an expired certificate of worker/etl-1',
    port,
    async () => await expiredCredentials(place.dir, 'worker/etl-1'),
  );
}

async function refused(who: string, port: number, make: () => Promise<Credentials>): Promise<void> {
  const outcome = await step(
    who,
    async (): Promise<Outcome> => {
      const answer = await ask(port, await make(), PATH);
      if ('status' in answer && answer.status < 400) throw new Error(`it was let in: ${inWords(answer)}`);
      return answer;
    },
    { remedy: 'this must not happen: see SECURITY.md' },
  );
  quote([inWords(outcome)]);
}

/** The same name from a CA of the same name, which is not ours. */
async function strangersCredentials(place: Place): Promise<Credentials> {
  const dir = join(place.dir, 'stranger');
  await mkdir(dir);
  for (const args of [['init'], ['issue', 'worker/etl-1']]) {
    const { code, err } = await finish(place.certgate(...args), { env: place.env, cwd: dir });
    if (code !== 0) throw new Error(err);
  }
  return credentialsIn(join(dir, 'worker-etl-1'));
}
