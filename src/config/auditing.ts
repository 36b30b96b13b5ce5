// The settings of the gate's record: when it goes on in another file, and how long the files before that one stay. A part of
// the schema of its own.
import * as z from 'zod/mini';
import { ceiling, durationOrOff, sizeOrOff } from './setting.ts';

export const auditSettings = () =>
  z.prefault(
    z.strictObject({
      rotateSize: sizeOrOff(
        '256MiB',
        { about: 'Size at which the record (state/audit.jsonl) continues in a new file.' },
        { min: '1MiB', max: '1024GiB' },
      ),
      rotateEvery: durationOrOff(
        'off',
        { about: "Time after a file's first line at which the record continues in a new file." },
        { min: '1m', max: '3650d' },
      ),
      keepFor: durationOrOff(
        'off',
        {
          about:
            'How long a finished file is kept after its last line. Then the gate verifies it, signs that it is removing it, and removes it (docs/audit.md). off keeps all files.',
        },
        { min: '1h', max: '36500d' },
      ),
      keepFiles: ceiling(
        'off',
        {
          about: 'How many finished files are kept besides the current one; the oldest are removed as with `keepFor`.',
        },
        false,
      ),
    }),
    {},
  );
