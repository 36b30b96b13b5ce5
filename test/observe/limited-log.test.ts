import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { limitLog } from '../../src/observe/limited-log.ts';
import { openLog } from '../../src/observe/log.ts';

interface Line {
  readonly level: string;
  readonly msg: string;
  readonly about?: string;
  readonly leftOut?: number;
}

describe('limitLog', () => {
  let lines: Line[];
  const log = openLog({ level: 'info', destination: { write: (line) => lines.push(JSON.parse(line) as Line) } });

  beforeEach(() => {
    lines = [];
    vi.useFakeTimers();
  });

  afterEach(() => {
    vi.useRealTimers();
  });

  test('lets few lines of a reason pass each second and then tells how many it left out', () => {
    const limited = limitLog(log, { perSecond: 3 });
    for (let i = 0; i < 1000; i++) limited.say('warn', 'handshake', { i }, 'tls handshake failed');
    expect(lines).toHaveLength(3);
    vi.advanceTimersByTime(2000);
    expect(lines.slice(3)).toMatchObject([
      { level: 'warn', about: 'handshake', leftOut: 997, msg: 'more lines like these were left out' },
    ]);
    limited.say('warn', 'handshake', {}, 'tls handshake failed');
    expect(lines.at(-1)).toMatchObject({ msg: 'tls handshake failed' });
  });

  test('says nothing more about a reason of which nothing was left out', () => {
    const limited = limitLog(log, { perSecond: 3 });
    limited.say('info', 'rare', {}, 'rare');
    vi.advanceTimersByTime(10_000);
    expect(lines).toHaveLength(1);
    expect(vi.getTimerCount()).toBe(0);
  });

  test('counts each reason for itself', () => {
    const limited = limitLog(log, { perSecond: 1 });
    for (const reason of ['a', 'b', 'a', 'b', 'c']) limited.say('warn', reason, {}, reason);
    expect(lines.map((line) => line.msg)).toEqual(['a', 'b', 'c']);
  });

  test('stays bounded when there is no end of reasons', () => {
    const limited = limitLog(log, { perSecond: 1 });
    for (let i = 0; i < 5000; i++) limited.say('warn', `reason ${i}`, {}, 'odd');
    expect(lines).toHaveLength(257);
    vi.advanceTimersByTime(2000);
    expect(lines.at(-1)).toMatchObject({ about: 'other', leftOut: 4743 });
  });

  test('tells at once what was left out when it is closed', () => {
    const limited = limitLog(log, { perSecond: 1 });
    limited.say('error', 'gate', {}, 'down');
    limited.say('error', 'gate', {}, 'down');
    limited.close();
    expect(lines).toMatchObject([{ msg: 'down' }, { level: 'error', about: 'gate', leftOut: 1 }]);
    expect(vi.getTimerCount()).toBe(0);
  });
});
