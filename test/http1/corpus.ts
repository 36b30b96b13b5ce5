// The corpus of raw messages (test/http1/corpus/README.md): the folder is the verdict.

import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

export const CORPUS = new URL('./corpus/', import.meta.url).pathname;

export interface CorpusFile {
  /** Below the corpus, e.g. `requests/400/cl-te.http`. */
  readonly path: string;
  readonly kind: 'request' | 'answer';
  /** The folder's name: a status, `accepted`, … or `findings`. */
  readonly verdict: string;
  /** The method that an answer is to. */
  readonly method: string;
  readonly bytes: Buffer;
}

/** Every file, in the order of their names. */
export function readCorpus(): readonly CorpusFile[] {
  return globSync('**/*.http', { cwd: CORPUS })
    .toSorted()
    .map((path) => {
      const [verdict = '', name = ''] = path.split('/').slice(-2);
      return {
        path,
        kind: path.startsWith('answers/') || name.startsWith('answer-') ? 'answer' : 'request',
        verdict,
        method: /(?:^|-)to-head/.test(name) ? 'HEAD' : 'GET',
        bytes: readFileSync(join(CORPUS, path)),
      };
    });
}
