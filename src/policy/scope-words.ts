// The scope rule of an operation (scope-rules.ts) in a word or two, for the table of all. Pure.

import { scopeRule } from './scope-rules.ts';

/** What the rule of an operation comes to in a word or two, for the table of all. */
export function ruleWords(operation: { readonly name: string }): string {
  const rule = scopeRule(operation);
  if (typeof rule === 'string') return rule;
  const { pool, hands, object, query, body } = rule;
  const words: string[] = [];
  if (pool !== undefined) words.push('its pool');
  if (object !== undefined) words.push(`the ${NOUNS[object[0]] ?? object[0].replaceAll('_', ' ')}`);
  if (query !== undefined) words.push(`the ${query[0].replaceAll('_', ' ')} in the query`);
  if (body !== undefined) words.push(BODY_WORDS[body.kind] ?? 'what its body names');
  if (words.length === 0) words.push('each message');
  return words.join(', ') + (hands === true ? '; by a tag refused' : '');
}

const NOUNS: Readonly<Record<string, string>> = {
  flow_name: 'flow',
  deployment_name: 'deployment',
  artifact_key: 'artifact',
  resource: 'object of the resource',
};
const BODY_WORDS: Readonly<Record<string, string>> = {
  narrow: 'its filter is narrowed',
  name: 'its filter must name whose',
  'event filter': 'its filter must name whose',
};
