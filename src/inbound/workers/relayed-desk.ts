// The desk as a worker has it: only the primary has the issuer's key, so it is asked there. A primary that does not answer is
// a gate that cannot issue now.

import { answerWith, type DeskAnswer } from '../../enroll/answers.ts';
import type { EnrollDesk } from '../../enroll/contract.ts';
import type { Channel, PrimaryQuestion } from './messages.ts';

export function relayDesk(ask: (question: PrimaryQuestion) => Promise<unknown>, channel: Channel): EnrollDesk {
  const asked = async (question: PrimaryQuestion): Promise<DeskAnswer> => {
    try {
      return (await ask(question)) as DeskAnswer;
    } catch {
      return answerWith(503, 'the gate cannot issue now; try again');
    }
  };
  return {
    enroll: (body, from) => asked({ about: 'enroll', body, from }),
    renew: (body, holder) => asked({ about: 'renew', body, holder }),
    seen: async (serial) => channel.send({ kind: 'seen', serial }),
  };
}
