// docs/strictness.md says what is refused, and nothing else does it: every example of its tables is refused with the
// status and the words beside it, and every refusal that the source can make is in them.

import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { readRequest, readResponse } from './read.ts';

const root = join(import.meta.dirname, '../..');
const page = readFileSync(join(root, 'docs/strictness.md'), 'utf8');

interface Example {
  readonly reason: string;
  readonly status: number;
  readonly what: string;
  readonly text: string;
}

function rowsOf(section: string): string[][] {
  const text = page.slice(page.indexOf(`\n## ${section}\n`) + 1);
  const end = text.indexOf('\n## ', 1);
  return (end < 0 ? text : text.slice(0, end))
    .split('\n')
    .filter((line) => line.startsWith('| '))
    .slice(1)
    .map((line) => line.slice(2, -2).split(' | '));
}

function examplesOf(cell: string | undefined, reason: string, status: number): Example[] {
  const found = [...(cell ?? '').matchAll(/(line|header|host|begins) `([^`]*)`|(no host)/g)];
  return found.map(([, what, code, noHost]) => ({
    reason,
    status,
    what: what ?? noHost ?? '',
    text: (code ?? '').replaceAll('␍', '\r').replaceAll('␊', '\n').replaceAll('␀', '\0'),
  }));
}

const requests = rowsOf('Requests').map(([status = '', reason = '', , cell]) => ({
  reason,
  examples: examplesOf(cell, reason, Number(status)),
}));
const answers = rowsOf('Answers of the Prefect server').map(([reason = '', , cell]) => ({
  reason,
  examples: examplesOf(cell, reason, 400),
}));

function requestOf({ what, text }: Example): string {
  if (what === 'begins') return text;
  const first = what === 'line' ? text : 'POST /api/flows/ HTTP/1.1';
  const host = what === 'no host' ? '' : `Host: ${what === 'host' ? text : 'gate.test'}\r\n`;
  return `${first}\r\n${host}${what === 'header' ? `${text}\r\n` : ''}\r\n`;
}

describe('a request is refused, as the page says', () => {
  test.each(requests.flatMap(({ examples }) => examples))('$status $reason: $what $text', (example) => {
    expect(readRequest(requestOf(example))).toEqual({ ok: false, status: example.status, reason: example.reason });
  });
});

describe('an answer is refused, as the page says', () => {
  test.each(answers.flatMap(({ examples }) => examples))('$reason: $what $text', (example) => {
    const { what, text, reason } = example;
    const answer = what === 'line' ? `${text}\r\n\r\n` : `HTTP/1.1 200 OK\r\n${text}\r\n\r\n`;
    expect(readResponse(answer)).toMatchObject({ ok: false, reason });
  });
});

test('every refusal of the source is on the page', () => {
  const told = new Set([...requests, ...answers].map(({ reason }) => reason));
  const sources = globSync('src/http1/*.ts', { cwd: root }).map((path) => readFileSync(join(root, path), 'utf8'));
  const made = sources.flatMap((source) =>
    [...source.matchAll(/malformed\(\s*(?:400|413|414|417|431|501|505),\s*(['`])(.*?)\1/g)].map(([, , reason = '']) =>
      reason.replace(/\$\{.*?headBytes\}/, '32768').replace(/\$\{.*?headerLines\}/, '100'),
    ),
  );
  expect(made.length).toBeGreaterThan(25);
  expect(made.filter((reason) => !told.has(reason))).toEqual([]);
  expect([...told].filter((reason) => !made.includes(reason))).toEqual([]);
});
