// Who may use a file or folder: the check that `doctor` makes of an identity's key, and `ca check` of everything of the CA.
import { statSync } from 'node:fs';
import { reasonOf, shellWord } from '../../errors.ts';
import { type Finding, failure, fine } from './finding.ts';

/** A path's mode may have no bit beyond `most`; null when the path is absent and something else says so. */
export function checkMode(
  path: string,
  most: number,
  asUser = 'run it as the user that runs certgate',
): Finding | null {
  try {
    const mode = statSync(path).mode & 0o777;
    return (mode & ~most) === 0
      ? fine('file mode', `${path} is ${octal(mode)}`)
      : failure(
          'file mode',
          `${path} is ${octal(mode)}: others can ${(mode & ~most & 0o022) === 0 ? 'read' : 'change'} it`,
          `chmod ${octal(mode & most)} ${shellWord(path)}`,
        );
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    return failure('file mode', `${path}: ${reasonOf(error)}`, asUser);
  }
}

function octal(bits: number): string {
  return bits.toString(8).padStart(4, '0');
}
