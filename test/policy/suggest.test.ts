// What is proposed from a log, and that what a refusal says to add permits what it refused.

import { describe, expect, test } from 'vitest';
import { readPolicy } from '../../src/config/policy-file.ts';
import { explain } from '../../src/policy/explain.ts';
import { roleMatrix } from '../../src/policy/matrix.ts';
import { BUILT_IN_ROLES, type BuiltInRole } from '../../src/policy/permissions.ts';
import { refusalWords } from '../../src/policy/refusal.ts';
import { createSuggester, type Suggestion } from '../../src/policy/suggest.ts';

const ID = '0f3c1f1e-7a54-4c9b-9a3f-2d2b1c0d9e8f';
const some = (path: string, word = 'x') => path.replaceAll(/\{(?:id|schedule_id)\}/g, ID).replaceAll(/\{\w+\}/g, word);

/** What is proposed for who did all that `role` may. */
function forAllOf(role: BuiltInRole, identity: string, pool: string): Suggestion | undefined {
  const suggester = createSuggester();
  for (const { method, path, name, may } of roleMatrix()) {
    if (!may.includes(role)) continue;
    suggester.see({ identity, method: method === 'WS' ? 'GET' : method, path: some(path, pool), operation: name });
  }
  return suggester.suggest()[0];
}

describe('the least role', () => {
  test.each(['Viewer', 'Runner', 'Worker', 'Developer'] as const)(
    'for who did all that a %s may is that role',
    (role) => {
      const identity = role === 'Worker' ? 'worker/a' : 'user/a';
      expect(forAllOf(role, identity, 'etl')).toMatchObject({ role });
    },
  );

  test('for an Owner’s deeds is no built-in role', () => {
    expect(forAllOf('Owner', 'user/a', 'etl')).toMatchObject({ role: null });
  });

  test('is permissions by name where a built-in role would give much more', () => {
    const suggester = createSuggester();
    suggester.see({ identity: 'user/a', method: 'POST', path: '/api/variables/', operation: 'create_variable' });
    expect(suggester.suggest()).toMatchObject([{ role: null, needs: ['write_variables'], requests: 1, pools: null }]);
  });

  test('is kept to a pool where only one was polled, and nothing done goes beyond it', () => {
    const poll = (pool: string) => ({
      identity: 'worker/a',
      method: 'POST',
      path: `/api/work_pools/${pool}/get_scheduled_flow_runs`,
      operation: 'get_scheduled_flow_runs',
    });
    const polled = (...more: Array<ReturnType<typeof poll>>) => {
      const suggester = createSuggester();
      for (const one of [poll('etl'), ...more]) suggester.see(one);
      return suggester.suggest()[0]?.pools;
    };
    expect(polled(poll('etl'))).toEqual(['etl']);
    expect(polled(poll('ml'))).toBeNull();
    expect(polled({ ...poll(''), path: '/api/variables/', operation: 'create_variable' })).toBeNull();
  });
});

describe('a refusal', () => {
  test('names a line that permits what was refused, for every operation and every role', () => {
    const head = 'bindings:\n';
    let asked = 0;
    for (const role of [...Object.keys(BUILT_IN_ROLES), null]) {
      for (const identity of ['user/a', 'worker/a']) {
        const bound = role === null ? '' : `  - {role: ${role}, identity: ${identity}, pools: [etl]}\n`;
        const before = readPolicy(head + bound, 'p.yaml');
        if (!before.ok) throw new Error('no policy');
        for (const { method, path } of roleMatrix()) {
          const request = [method, some(path, 'ml')] as const;
          const said = explain(before.policy, identity, ...request);
          if (said === null || said.permit || said.operation === null) continue;
          const line = refusalWords(said).split('bindings in the policy: ')[1] ?? '';
          const after = readPolicy(`${head}${bound}  ${line}\n`, 'p.yaml');
          expect(
            after.ok && explain(after.policy, identity, ...request)?.permit,
            `${line} for ${request.join(' ')}`,
          ).toBe(true);
          asked++;
        }
      }
    }
    expect(asked).toBeGreaterThan(500);
  });
});
