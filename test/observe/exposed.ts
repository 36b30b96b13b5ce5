// Reads what monitors are told by the rules of its format, and complains of what breaks them.

/** Each sample of `text`, `name{label="value"}`, and its value. Throws for a line that the format does not allow where it stands. */
export function samplesOf(text: string): ReadonlyMap<string, number> {
  const lines = text.split('\n');
  if (lines.pop() !== '') throw new Error('the last line does not end');
  const samples = new Map<string, number>();
  const kinds = new Map<string, string>();
  let helped = '';
  let family = '';
  for (const line of lines) {
    const [, said, name = '', rest = ''] = /^# (HELP|TYPE) ([a-z_]+) (\S.*)$/.exec(line) ?? [];
    if (said === 'HELP') helped = name;
    else if (said === 'TYPE') {
      if (helped !== name || kinds.has(name)) throw new Error(`${name} is not told of once, with its help before it`);
      kinds.set(name, rest);
      family = name;
    } else {
      const [, sample = '', labels = '', value] =
        /^([a-z_]+)(\{[a-z]+="(?:[^"\\]|\\["\\])*"\})? ([0-9.e+]+)$/.exec(line) ?? [];
      const isPart = kinds.get(family) === 'histogram' && /^_(bucket|sum|count)$/.test(sample.slice(family.length));
      if (!sample.startsWith(family) || (sample !== family && !isPart)) throw new Error(`out of place: ${line}`);
      if (sample.endsWith('_total') !== (kinds.get(family) === 'counter')) throw new Error(`no name for it: ${line}`);
      if (samples.has(sample + labels) || Number.isNaN(Number(value))) throw new Error(`told twice, or not: ${line}`);
      samples.set(sample + labels, Number(value));
    }
  }
  return samples;
}
