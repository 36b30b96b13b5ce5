// certgate's log: JSON lines, by default on stderr, lower-case messages, one line an event. Written beside the event loop
// and held in memory up to a bound: a reader that stalls costs lines, never requests. Every line is printable ASCII, so
// that a peer's text can't forge one. It must never carry a password, a token, a cookie or a private key: values under
// such names are replaced wherever they stand, and so is what looks like one inside of any text.

import { fstatSync, statSync } from 'node:fs';
import { asciiJson, asciiOnly, asciiText, inOnePiece } from './ascii-json.ts';
import { openLineWriter } from './line-writer.ts';

export type LogLevel = 'error' | 'warn' | 'info' | 'debug';

/** Writes one line with `message` as its `msg`, after the fields. */
export interface Say {
  (message: string): void;
  (fields: Readonly<Record<string, unknown>>, message: string): void;
}

export interface Log extends Readonly<Record<LogLevel, Say>> {
  /** Whether lines of this level are written. */
  writes(level: LogLevel): boolean;
  /** Takes a finished line, and may keep it a moment to write it in company. */
  addLine(line: string): void;
  /** Calls `done` once all lines so far are handed to the operating system, or could not be. */
  flush(done: () => void): void;
}

export interface LogOptions {
  readonly level: LogLevel;
  /** A file descriptor (default 2, stderr), a file's path, or anything with `write`. */
  readonly destination?: number | string | { write(line: string): void };
  /**
   * Other processes write there too: each write holds whole lines and is short enough that the system puts no other
   * process's bytes into it (PIPE_BUF, POSIX write()); a line that is too long is cut.
   */
  readonly severalWriters?: boolean;
}

/** One exchange. Its line has `level`, `time` (ISO 8601), all of these, and `msg: "request"`. Times are ms, sizes bytes. */
export interface AccessLine {
  /** From `accessSubject`. */
  readonly subject: string;
  readonly requestId: string;
  readonly decision: 'permit' | 'refuse';
  readonly code: string | null;
  readonly status: number | null;
  readonly ms: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
}

/** Writes one access line, level info. */
export type AccessLog = (line: AccessLine) => void;

/** From the most important one. */
const LEVELS: readonly LogLevel[] = ['error', 'warn', 'info', 'debug'];
const REDACTED = '[redacted]';
/** Names whose values are secret. `key` alone too; not `keyId`, `publicKey`, and not `tokenId`, by which a token is found. */
const SECRET_NAME =
  /^key$|authorization|cookie|password|passwd|passphrase|secret|token(?!Id$)|credential|private-?_?key|auth-?_?string|api-?_?key/i;
/**
 * In a line of JSON, where what is escaped stays whole: an Authorization value (a word that no sentence has: with a capital,
 * a digit or `=`), or a PEM private key.
 */
const SECRET_TEXT =
  /\b(?:[Bb]earer|[Bb]asic)(?:\s|\\[bfnrt])+(?=[\w.~+/-]*[A-Z\d=])[\w.~+/-]{6,}=*|-----BEGIN [A-Z ]*PRIVATE KEY-----(?:(?!-----END)(?:[^"\\]|\\.))*/g;
const MAY_BE_SECRET = /[Bb]earer|[Bb]asic|PRIVATE KEY/;
/** How deep secrets are looked for; what lies deeper is not logged. */
const DEPTH = 4;
/** Bytes of lines that may wait for a slow reader. */
const BACKLOG = 4 * 1024 * 1024;
/** Access lines are collected up to this many bytes or ms. */
const CHUNK = 65_536;
/** What the system writes to a pipe in one piece (PIPE_BUF), bytes: 4096 on Linux; where it is less, long lines may mix. */
const ATOMIC = 4096;
const DELAY = 100;
/** How long an ending process waits for its last lines, ms. */
const FLUSH_TIME = 1_000;

/** Opens the log. A destination that fails or stalls loses lines and says later how many; it never throws. */
export function openLog(options: LogOptions): Log {
  const { destination = 2 } = options;
  const sink =
    typeof destination === 'object'
      ? plainSink(destination)
      : bufferedSink(destination, options.severalWriters === true && mixes(destination), () => log);
  const most = LEVELS.indexOf(options.level);
  const writes = (level: LogLevel): boolean => LEVELS.indexOf(level) <= most;
  const sayAt =
    (level: LogLevel): Say =>
    (first: string | Readonly<Record<string, unknown>>, message?: string) => {
      if (!writes(level)) return;
      const [fields, msg] = typeof first === 'string' ? ['', first] : [fieldsText(first), message ?? ''];
      sink.write(`{"level":"${level}","time":"${isoNow()}"${fields},"msg":${JSON.stringify(msg)}}`);
    };
  const log: Log = {
    error: sayAt('error'),
    warn: sayAt('warn'),
    info: sayAt('info'),
    debug: sayAt('debug'),
    writes,
    addLine: (line) => sink.add(line),
    flush: (done) => sink.flush(done),
  };
  return log;
}

/** `,"name":value` for each field, with the values of secret names replaced. */
function fieldsText(fields: Readonly<Record<string, unknown>>): string {
  try {
    const text = JSON.stringify(membersOf(fields, DEPTH)).slice(1, -1);
    return text === '' ? '' : `,${text}`;
  } catch {
    // A getter of theirs throws, say. Who speaks of a fault must not end by that; and what was thrown may hold a secret.
    return ',"fields":"[unreadable]"';
  }
}

/** Resolves when all lines so far have been handed to the operating system, or could not be. */
export function flushLog(log: Log): Promise<void> {
  return new Promise((resolve) => {
    // A destination that is full never says that it has taken the lines.
    const timer = setTimeout(resolve, FLUSH_TIME);
    log.flush(() => {
      clearTimeout(timer);
      resolve();
    });
  });
}

/** The part of an access line that says whose request it was, for all lines of a connection. */
export function accessClient(identity: string | null, serial: string | null, address: string): string {
  return `"identity":${asciiText(identity)},"serial":${asciiText(serial)},"address":${asciiText(address)}`;
}

/**
 * The part of an access line that says whose request it was (from `accessClient`) and for what. `path` is decoded and
 * without the query string, which may hold secrets; `method` and `operation` are words of ours.
 */
export function accessSubject(client: string, method: string, path: string, operation: string | null): string {
  const called = operation === null ? 'null' : `"${operation}"`;
  return inOnePiece(`${client},"method":"${method}","path":${asciiText(path)},"operation":${called}`);
}

/** Access lines to `log`; null below level info. Put together here, for speed: nothing in them needs redacting. */
export function accessLogOf(log: Log): AccessLog | null {
  if (!log.writes('info')) return null;
  return (line) => {
    log.addLine(
      `{"level":"info","time":"${isoNow()}","requestId":"${line.requestId}",${line.subject},"decision":"${line.decision}",` +
        `"code":${line.code === null ? 'null' : `"${line.code}"`},"status":${line.status},"ms":${decimal(line.ms)},` +
        `"bytesIn":${line.bytesIn},"bytesOut":${line.bytesOut},"msg":"request"}\n`,
    );
  };
}

const THOUSANDTHS = Array.from({ length: 1000 }, (_, i) => `.${String(i).padStart(3, '0')}`);

/** `ms` to the microsecond; by whole numbers, whose texts V8 keeps. */
function decimal(ms: number): string {
  const micros = Math.round(ms * 1000);
  const whole = Math.floor(micros / 1000);
  return `${whole}${THOUSANDTHS[micros - whole * 1000] ?? ''}`;
}

/** Where lines go. */
interface Sink {
  /** A line without its end, which may still hold what must not be logged: at once. */
  write(line: string): void;
  /** A finished line, in company. */
  add(line: string): void;
  flush(done: () => void): void;
}

function plainSink(target: { write(line: string): void }): Sink {
  return {
    write: (line) => target.write(safeLine(line)),
    add: (line) => target.write(line),
    flush: (done) => done(),
  };
}

function bufferedSink(target: number | string, several: boolean, log: () => Log): Sink {
  const size = several ? ATOMIC : CHUNK;
  // Lines are ASCII, so they are bytes from the start: what would be text is turned into bytes three times on its way.
  let chunk = Buffer.allocUnsafe(size);
  let filled = 0;
  let timer: NodeJS.Timeout | null = null;
  let dropped = 0;
  const writer = openLineWriter(target, { backlog: BACKLOG, most: size }, () => {
    if (dropped === 0) return;
    const chunks = dropped;
    dropped = 0;
    log().warn({ chunks }, 'log lines were dropped: nobody read them in time');
  });
  const give = (bytes: Buffer): void => {
    if (!writer.write(bytes)) dropped++;
  };
  const send = (): void => {
    if (timer !== null) clearTimeout(timer);
    timer = null;
    if (filled === 0) return;
    // What waits for a slow reader is counted by its length: a line must not hold a whole chunk.
    const lines = filled < size / 2 ? Buffer.from(chunk.subarray(0, filled)) : chunk.subarray(0, filled);
    if (filled >= size / 2) chunk = Buffer.allocUnsafe(size);
    filled = 0;
    give(lines);
  };
  const add = (line: string): void => {
    if (line.length > size - filled) send();
    if (line.length > size) give(Buffer.from(several ? cutLine(line) : line, 'latin1'));
    else filled += chunk.write(line, filled, 'latin1');
  };
  process.once('exit', () => {
    send();
    writer.writeLast();
  });
  return {
    write(line) {
      add(safeLine(line));
      send();
    },
    add(line) {
      add(line);
      timer ??= setTimeout(send, DELAY).unref();
    },
    flush(done) {
      send();
      writer.flush(done);
    },
  };
}

/** Whether the system may mix what several processes write there; to a file it writes in one piece, of any size. */
function mixes(target: number | string): boolean {
  try {
    return !(typeof target === 'number' ? fstatSync(target) : statSync(target)).isFile();
  } catch {
    return true;
  }
}

/** A line that is too long for one write, with what it is about and its beginning. */
function cutLine(line: string): string {
  const { level, time, msg } = JSON.parse(line) as Record<string, unknown>;
  const about = String(msg).slice(0, 200);
  return `${asciiJson({ level, time, msg: about, characters: line.length, cut: line.slice(0, ATOMIC / 4) })}\n`;
}

let isoMillisecond = 0;
let isoText = '';

/** The time as ISO 8601, made once a millisecond. */
function isoNow(): string {
  const now = Date.now();
  if (now !== isoMillisecond) {
    isoMillisecond = now;
    isoText = new Date(now).toISOString();
  }
  return isoText;
}

/** Without what looks like a secret, and with its end. */
function safeLine(line: string): string {
  const open = MAY_BE_SECRET.test(line) ? line.replace(SECRET_TEXT, REDACTED) : line;
  return `${asciiOnly(open)}\n`;
}

/** The members of `value`, with the values of secret names replaced. */
function membersOf(value: object, depth: number): Record<string, unknown> {
  const open = ([name, field]: [string, unknown]): [string, unknown] => [
    name,
    SECRET_NAME.test(name) && field !== null ? REDACTED : withoutSecrets(field, depth - 1),
  ];
  return Object.fromEntries(Object.entries(value).map(open));
}

/** What JSON makes of `value`, as plain objects to `depth`, with the values of secret names replaced. */
function withoutSecrets(value: unknown, depth: number): unknown {
  if (typeof value === 'bigint') return String(value);
  if (typeof value !== 'object' || value === null) return typeof value === 'function' ? undefined : value;
  if (ArrayBuffer.isView(value)) return `[${value.byteLength} bytes]`;
  if (depth < 0) return '[too deep]';
  // What JSON would write in its place has names of its own.
  if ('toJSON' in value && typeof value.toJSON === 'function')
    return withoutSecrets(Reflect.apply(value.toJSON, value, []), depth - 1);
  if (depth === 0) return '[too deep]';
  return Array.isArray(value) ? value.map((one) => withoutSecrets(one, depth - 1)) : membersOf(value, depth);
}
