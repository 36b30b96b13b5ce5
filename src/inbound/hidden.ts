// Answers in which something is hidden from who may not see it: secrets of blocks, artifacts in graphs, and of concurrency limits
// whose slots are held.
// An answer that can't be held, or read, is not let through. Prefect answers 200 things at most.

import { maskSecrets } from '../policy/block-masks.ts';
import { maskArtifacts } from '../policy/graph-masks.ts';
import { maskLimits } from '../policy/limit-masks.ts';
import type { AnswerChange } from '../proxy/contract.ts';
import { textOfBody } from './block-secrets.ts';

/** Bytes. */
const LONGEST_ANSWER = 8_388_608;

function hiding(mask: (text: string) => string | null): AnswerChange {
  return {
    most: LONGEST_ANSWER,
    must: true,
    rewrite(body, { status }) {
      if (status >= 300) return body;
      const text = textOfBody(body);
      const masked = text === null ? null : mask(text);
      return masked === text ? body : masked === null ? null : Buffer.from(masked, 'utf8');
    },
  };
}

/** What hides them: secrets in block documents and artifacts in graphs, for who may not see those; whose limits are, within a scope. */
export const HIDES = {
  secrets: hiding(maskSecrets),
  artifacts: hiding(maskArtifacts),
  holders: hiding(maskLimits),
} as const;
