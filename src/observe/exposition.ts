// What a gate or a sidecar counts, in the text format that Prometheus and whatever reads like it takes (version 0.0.4, which is
// OpenMetrics' elder). @prometheus-io/client can't be given a histogram that several processes have counted, and loads
// OpenTelemetry's interface for it; the format is two lines about a figure, and one with it. Pure.

import { type AnswerCounts, DURATIONS } from './metrics.ts';

export const EXPOSITION_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

/** What a monitor is told of what runs. */
export interface Told {
  /** What must be well, each by itself. */
  readonly parts: Readonly<Record<string, boolean>>;
  /** When certificates end, by whose they are; ms since the epoch. */
  readonly ends: Readonly<Record<string, number>>;
  readonly answered: AnswerCounts;
  /** All besides. */
  readonly figures: readonly Figure[];
}

export interface Exposed extends Told {
  readonly version: string;
  readonly process: {
    /** s */
    readonly cpu: number;
    /** bytes */
    readonly resident: number;
    /** ms since the epoch */
    readonly started: number;
  };
}

type Kind = 'counter' | 'gauge' | 'histogram';
type Labels = Readonly<Record<string, string>>;
/** `suffix` is what stands behind the name for it. */
type Sample = readonly [labels: Labels, value: number, suffix?: string];

export interface Figure {
  /** Without what all of ours begin with. */
  readonly name: string;
  readonly kind: Kind;
  readonly help: string;
  readonly samples: readonly Sample[];
}

/** By what name each of some counts is told, and its help. Those of one name are told apart by a label. */
export type CountWords<Key extends string> = Readonly<
  Record<Key, readonly [name: string, help: string, labels?: Labels]>
>;

/** The counts as they are told: in the order of `words`, those of one name together. A counter's name ends with `_total`. */
export function figuresOf<Key extends string>(
  words: CountWords<Key>,
  counts: Readonly<Record<Key, number>>,
): readonly Figure[] {
  const figures = new Map<string, Figure & { readonly samples: Sample[] }>();
  for (const key of Object.keys(words) as Key[]) {
    const [name, help, labels = {}] = words[key];
    const kind = name.endsWith('_total') ? 'counter' : 'gauge';
    const figure = figures.get(name) ?? { name, kind, help, samples: [] };
    figure.samples.push([labels, counts[key]]);
    figures.set(name, figure);
  }
  return [...figures.values()];
}

/** All of it; each line ends with a newline. */
export function exposition({ parts, ends, answered, figures, version, process }: Exposed): string {
  const text: string[] = [];
  const tell = (name: string, kind: Kind, help: string, samples: readonly Sample[]): void => {
    text.push(
      `# HELP ${name} ${help}`,
      `# TYPE ${name} ${kind}`,
      ...samples.map(([of, value, suffix = '']) => lineOf(`${name}${suffix}`, of, value)),
    );
  };
  const each = (label: string, values: Readonly<Record<string, number | boolean>>, per = 1): Sample[] =>
    Object.entries(values).map(([key, value]) => [{ [label]: key }, Number(value) / per]);

  tell('certgate_build_info', 'gauge', 'The version of certgate.', [[{ version }, 1]]);
  tell('certgate_healthy', 'gauge', 'Whether a part is healthy.', each('part', parts));
  tell(
    'certgate_certificate_expiration_timestamp_seconds',
    'gauge',
    'When a certificate expires, in seconds since 1970.',
    each('certificate', ends, 1000),
  );
  for (const { name, kind, help, samples } of figures) tell(`certgate_${name}`, kind, help, samples);
  const classes = Object.fromEntries(answered.answers.map((count, at) => [at === 0 ? 'none' : `${at}xx`, count]));
  tell(
    'certgate_responses_total',
    'counter',
    "Finished requests by their answer's status; none: they ended without an answer.",
    each('class', classes),
  );
  tell(
    'certgate_request_duration_seconds',
    'histogram',
    "From a request's head to the end of its answer; without WebSockets.",
    samplesOf(answered),
  );

  tell('process_cpu_seconds_total', 'counter', 'Processor time.', [[{}, process.cpu]]);
  tell('process_resident_memory_bytes', 'gauge', 'Resident memory.', [[{}, process.resident]]);
  tell('process_start_time_seconds', 'gauge', 'When the process started.', [[{}, process.started / 1000]]);
  return `${text.join('\n')}\n`;
}

/** The samples of a histogram: each bucket has what is in those below it, too. */
function samplesOf({ durations, durationSum }: AnswerCounts): Sample[] {
  let count = 0;
  const buckets = durations.map((more, at): Sample => {
    const end = DURATIONS[at];
    count += more;
    return [{ le: end === undefined ? '+Inf' : `${end / 1000}` }, count, '_bucket'];
  });
  return [...buckets, [{}, durationSum / 1000, '_sum'], [{}, count, '_count']];
}

function lineOf(name: string, labels: Labels, value: number): string {
  const all = Object.entries(labels).map(([label, text]) => `${label}="${text.replaceAll(/["\\]/g, '\\$&')}"`);
  return `${name}${all.length === 0 ? '' : `{${all.join(',')}}`} ${value}`;
}
