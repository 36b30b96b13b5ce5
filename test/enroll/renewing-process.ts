// Renews the folder that it is given, again and again, until it is killed: with pairs that the test has made, one a file.
import { readdirSync, readFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { prepareRenewal } from '../../src/enroll/identity-folder.ts';

const [dir = '', pairs = ''] = process.argv.slice(2);
const ready = readdirSync(pairs).map((name) => JSON.parse(readFileSync(join(pairs, name), 'utf8')) as [string, string]);
writeSync(1, 'ready\n');
for (;;) {
  for (const [key, certificate] of ready) await (await prepareRenewal(dir, key)).install(certificate);
}
