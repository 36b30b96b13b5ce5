// Asks the listener for monitors of a gate, or of a sidecar, and reads what it says with Prometheus's own client for Python.

import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import type { Serving } from './house.ts';
import { prefectPrograms } from './prefect.ts';

const READ = `import json, sys
from prometheus_client.parser import text_string_to_metric_families as families
print(json.dumps([[s.name, sorted(s.labels.items()), s.value] for f in families(sys.stdin.read()) for s in f.samples]))`;

/** Every sample of `text`: `name{label="value"}` and its value. */
export async function samplesIn(text: string): Promise<ReadonlyMap<string, number>> {
  const python = join(await prefectPrograms(), 'python');
  const said = execFileSync(python, ['-c', READ], { input: text, encoding: 'utf8' });
  const samples = JSON.parse(said) as [name: string, labels: [string, string][], value: number][];
  return new Map(
    samples.map(([name, labels, value]) => [
      `${name}${labels.length === 0 ? '' : `{${labels.map(([key, of]) => `${key}="${of}"`).join(',')}}`}`,
      value,
    ]),
  );
}

/** The URL of the listener, as the log of what serves names it. */
export async function monitorOf(serving: Serving): Promise<string> {
  const { address } = await serving.logged(({ msg }) => msg === 'telling monitors');
  return `http://${String(address)}`;
}

export async function read(url: string) {
  const answer = await fetch(url);
  return { status: answer.status, type: answer.headers.get('content-type'), text: await answer.text() };
}
