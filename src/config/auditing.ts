// The settings of the gate's record: when it goes on in another file, and how long the files before that one stay. A part of
// the schema of its own.
import * as z from 'zod/mini';
import { ceiling, durationOrOff, sizeOrOff } from './setting.ts';

export const auditSettings = () =>
  z.prefault(
    z.strictObject({
      rotateSize: sizeOrOff(
        '256MiB',
        { about: 'How long a file of the record (state/audit.jsonl) gets before it goes on in another one.' },
        { min: '1MiB', max: '1024GiB' },
      ),
      rotateEvery: durationOrOff(
        'off',
        { about: "How long after a file's first line the record goes on in another one." },
        { min: '1m', max: '3650d' },
      ),
      keepFor: durationOrOff(
        'off',
        {
          about:
            'How long after its last line a file of before is kept; then the gate removes it, once it has verified it and has signed that it does (docs/audit.md). off keeps all.',
        },
        { min: '1h', max: '36500d' },
      ),
      keepFiles: ceiling(
        'off',
        { about: 'How many files of before are kept, beside the one that is written; the oldest go as by `keepFor`.' },
        false,
      ),
    }),
    {},
  );
