// Run as a process of its own, to be killed: changes the passphrase of all keys in the folder DIR from the one in the file
// FROM to the one in the file TO; `-` is none.
import { caKeyFiles, changePassphrase } from '../../src/authority/change-passphrase.ts';
import { passphraseFile } from '../../src/authority/passphrase.ts';

const [dir = '', from = '-', to = '-'] = process.argv.slice(2);
const sourceOf = (file: string) => (file === '-' ? null : passphraseFile(file));

const paths = await caKeyFiles(dir);
globalThis.startCounting?.();
await changePassphrase({ paths, from: sourceOf(from), to: sourceOf(to) });
