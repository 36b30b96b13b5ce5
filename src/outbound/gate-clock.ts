// What time it is for the gate, which alone says whether a certificate has ended: by the Date of its last answer (RFC 9110
// §6.6.1), over a connection that was verified, and by what has passed here since. Until it has said so, by the clock of this
// machine. Of the two clocks here one stands still while the machine sleeps and the other can be set: what passes between
// two moments is as long as either of them says, so neither a sleep nor a clock that is set back keeps anything waiting.

import type { Log } from '../observe/log.ts';

/** From where on it is said that the clock of this machine is wrong, ms. */
const WORTH_SAYING = 30_000;

export interface Clocks {
  /** ms since the epoch; may be set, either way */
  readonly wall: () => number;
  /** ms; never goes back, and may stand still while the machine sleeps */
  readonly steady: () => number;
}

export interface GateClock {
  /** ms since the epoch */
  readonly now: () => number;
  /** Takes the Date of an answer that has just come from the gate; null, or what is none, changes nothing. */
  readonly hear: (date: string | null) => void;
  /** Answers how long it has been since this call, ms. */
  readonly stopwatch: () => () => number;
}

const HERE: Clocks = { wall: () => Date.now(), steady: () => performance.now() };

export function openGateClock(log: Log, { wall, steady }: Clocks = HERE): GateClock {
  let gate = wall();
  const stopwatch = (): (() => number) => {
    const [wallThen, steadyThen] = [wall(), steady()];
    return () => Math.max(wall() - wallThen, steady() - steadyThen);
  };
  let sinceHeard = stopwatch();
  /** How far the clock here was ahead when that was last said, ms. */
  let said = 0;
  return {
    now: () => gate + sinceHeard(),
    hear(date) {
      const heard = Date.parse(date ?? '');
      if (Number.isNaN(heard)) return;
      gate = heard;
      sinceHeard = stopwatch();
      const ahead = wall() - heard;
      if (Math.abs(ahead - said) < WORTH_SAYING) return;
      said = ahead;
      if (Math.abs(ahead) < WORTH_SAYING) log.info('the clock of this machine agrees with the gate’s again');
      else {
        const seconds = Math.round(Math.abs(ahead) / 1000);
        const reason = `it is ${seconds} s ${ahead > 0 ? 'ahead' : 'behind'}`;
        const look = 'set it with NTP: timedatectl set-ntp true';
        log.warn({ reason, look }, 'the clock of this machine is not the gate’s, which counts');
      }
    },
    stopwatch,
  };
}
