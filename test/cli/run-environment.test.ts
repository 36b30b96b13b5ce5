import { expect, test } from 'vitest';
import { environmentFor } from '../../src/cli/run.ts';

test.each([
  [{}, '127.0.0.1,localhost'],
  [{ NO_PROXY: 'a.example' }, 'a.example,127.0.0.1,localhost'],
  [{ NO_PROXY: '', no_proxy: 'b.example' }, 'b.example,127.0.0.1,localhost'],
  [{ NO_PROXY: 'a.example', no_proxy: 'b.example' }, 'a.example,b.example,127.0.0.1,localhost'],
  [{ NO_PROXY: 'a.example', no_proxy: 'a.example' }, 'a.example,127.0.0.1,localhost'],
])(
  'a command that certgate run wraps asks no proxy for the sidecar, nor for what it asked none before: %j',
  (env, hosts) => {
    const given = environmentFor(env, 'http://127.0.0.1:4210', 'https://gate.example');
    expect([given['NO_PROXY'], given['no_proxy']]).toEqual([hosts, hosts]);
  },
);
