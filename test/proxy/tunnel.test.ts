// Two sockets joined, with a reader in between that may take its time: nothing overtakes, nothing is lost, nothing goes on
// after a refusal, and each side's end comes behind what it has sent.

import { Socket } from 'node:net';
import { describe, expect, test } from 'vitest';
import type { TunnelRewriter, TunnelStep } from '../../src/proxy/contract.ts';
import { openTunnel } from '../../src/proxy/tunnel.ts';

/** A socket that leads nowhere: what is written to it, and what it is told. `room` is false while it takes no more. */
class Side extends Socket {
  readonly told: string[] = [];
  room = true;
  override writableNeedDrain = false;
  override write(bytes: Uint8Array | string): boolean {
    this.told.push(Buffer.from(bytes as Uint8Array).toString('latin1'));
    return this.room;
  }
  override end(): this {
    this.told.push('end');
    return this;
  }
  override pause(): this {
    this.told.push('pause');
    return this;
  }
  override resume(): this {
    this.told.push('resume');
    return this;
  }
}

function joined(toUpstream: TunnelRewriter | null = null, toClient: TunnelRewriter | null = null) {
  const [client, upstream] = [new Side(), new Side()];
  const refused: string[] = [];
  const tunnel = openTunnel(client, upstream, { toUpstream, toClient }, (reason) => refused.push(reason));
  const say = (text: string) => tunnel.fromClient(Buffer.from(text));
  return { client, upstream, tunnel, refused, say };
}

const upper = (bytes: Buffer): TunnelStep => ({ send: Buffer.from(bytes.toString().toUpperCase()), finished: false });
const turn = async (): Promise<void> => await new Promise((resolve) => setImmediate(resolve));

/** A reader whose answers are given one by one. */
function slow() {
  const asked: string[] = [];
  const answers: Array<(step: TunnelStep | Error) => void> = [];
  const reader: TunnelRewriter = (bytes) => {
    asked.push(bytes.toString());
    return new Promise((resolve, reject) => {
      answers.push((step) => (step instanceof Error ? reject(step) : resolve(step)));
    });
  };
  const answer = async (step: Partial<TunnelStep> | Error): Promise<void> => {
    answers.shift()?.(step instanceof Error ? step : { send: null, finished: false, ...step });
    await turn();
  };
  return { reader, asked, answer };
}

describe('bytes', () => {
  test('pass both ways as they are, and are counted', () => {
    const { client, upstream, tunnel, say } = joined();
    say('abc');
    tunnel.fromUpstream(Buffer.from('de'));
    expect([upstream.told, client.told, tunnel.sent]).toEqual([['abc'], ['de'], { toUpstream: 3, toClient: 2 }]);
  });

  test('hold their source up where the other side has no room, until that has', () => {
    const { client, upstream, tunnel, say } = joined();
    upstream.room = false;
    say('a');
    expect(client.told).toEqual(['pause']);
    tunnel.upstreamDrain();
    expect(client.told).toEqual(['pause', 'resume']);
    client.room = false;
    tunnel.fromUpstream(Buffer.from('b'));
    tunnel.clientDrain();
    expect(upstream.told).toEqual(['a', 'pause', 'resume']);
  });

  test('are read by each side’s own reader, until that has seen enough', () => {
    let times = 0;
    const twice: TunnelRewriter = (bytes) => ({ ...upper(bytes), finished: ++times === 2 });
    const { client, upstream, tunnel, say } = joined(twice);
    for (const text of ['a', 'b', 'c']) say(text);
    tunnel.fromUpstream(Buffer.from('d'));
    expect([upstream.told, client.told, times]).toEqual([['A', 'B', 'c'], ['d'], 2]);
  });

  test('that a reader sends nothing for go nowhere', () => {
    const { upstream, say, tunnel } = joined(() => ({ send: Buffer.alloc(0), finished: false }));
    say('a');
    expect([upstream.told, tunnel.sent.toUpstream]).toEqual([[], 0]);
  });
});

describe('a reader that takes its time', () => {
  test('holds up what comes behind, in order and whatever becomes of the memory it came in', async () => {
    const { reader, asked, answer } = slow();
    const { client, upstream, tunnel, say } = joined(reader);
    say('one');
    const reused = Buffer.from('two');
    tunnel.fromClient(reused);
    reused.fill('x');
    say('three');
    expect([asked, client.told, upstream.told]).toEqual([['one'], ['pause'], []]);
    await answer({ send: Buffer.from('1') });
    expect([asked, upstream.told]).toEqual([['one', 'twothree'], ['1']]);
    expect(client.told).toEqual(['pause', 'pause']);
    await answer({ send: Buffer.from('2'), finished: true });
    expect(upstream.told).toEqual(['1', '2']);
    expect(client.told).toEqual(['pause', 'pause', 'resume']);
    say('four');
    expect([asked.length, upstream.told]).toEqual([2, ['1', '2', 'four']]);
  });

  test('lets its source go on only when the other side has room too', async () => {
    const { reader, answer } = slow();
    const { client, upstream, tunnel, say } = joined(reader);
    say('a');
    tunnel.upstreamDrain();
    expect(client.told).toEqual(['pause']);
    upstream.writableNeedDrain = true;
    await answer({ send: Buffer.from('A') });
    expect(client.told).toEqual(['pause']);
    tunnel.upstreamDrain();
    expect(client.told).toEqual(['pause', 'resume']);
  });

  test('has the end of its side wait behind what it decides, and no other', async () => {
    const { reader, answer } = slow();
    const { client, upstream, tunnel, say } = joined(reader);
    say('a');
    tunnel.clientEnd();
    tunnel.upstreamEnd();
    expect([upstream.told, client.told]).toEqual([[], ['pause', 'end']]);
    await answer({ send: Buffer.from('A') });
    expect(upstream.told).toEqual(['A', 'end']);
    expect(client.told).not.toContain('resume');
  });

  test('that fails ends the tunnel, and nothing that waited goes on', async () => {
    const { reader, answer } = slow();
    const { upstream, refused, say, tunnel } = joined(reader);
    say('a');
    say('b');
    tunnel.clientEnd();
    await answer(new Error('odd'));
    say('c');
    expect([refused, upstream.told]).toEqual([['a fault of this proxy'], []]);
  });
});

describe('a refusal', () => {
  test('sends what goes before it, and nothing after', () => {
    const { upstream, refused, say } = joined((bytes) => ({ ...upper(bytes), refuse: 'no' }));
    say('a');
    say('b');
    expect([refused, upstream.told]).toEqual([['no'], ['A']]);
  });

  test('of one side lets nothing more of that side pass, also what was under way', async () => {
    const { reader, answer } = slow();
    const { upstream, refused, say } = joined(reader);
    say('a');
    say('b');
    await answer({ refuse: 'no', finished: true });
    expect([refused, upstream.told]).toEqual([['no'], []]);
  });
});
