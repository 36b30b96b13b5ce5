// What a parser behind the gate made of some bytes; all text latin1, header names in lower case.

export interface SeenRequest {
  readonly method: string;
  readonly target: string;
  readonly headers: ReadonlyArray<readonly [name: string, value: string]>;
  readonly body: string;
}

export interface Seen {
  /** The requests that were read whole, in order. */
  readonly requests: readonly SeenRequest[];
  /** Why the parser gave up; null when it did not. */
  readonly refused: string | null;
  /** What followed an upgrade to a WebSocket; null when there was none. */
  readonly rest: string | null;
}

/** Reads the pieces of one connection's bytes. No piece is empty. */
export type Parser = (pieces: readonly Buffer[]) => Promise<Seen>;

export interface SeenAnswer {
  readonly status: number;
  readonly headers: ReadonlyArray<readonly [name: string, value: string]>;
  readonly body: string;
}

export interface SeenAnswers {
  /** The answers that were read whole, in order. */
  readonly answers: readonly SeenAnswer[];
  readonly refused: string | null;
}

/** Reads one connection's bytes as the answers to requests of `methods`; null when it can't be told about one of them. */
export type AnswerParser = (methods: readonly string[], pieces: readonly Buffer[]) => Promise<SeenAnswers | null>;
