// What is exported of a record or of an act of the CA, whatever form it takes on its way (syslog-message.ts, otlp-logs.ts).

export interface ExportEntry {
  /** ms since the epoch */
  readonly time: number;
  readonly kind: 'decision' | 'outcome' | 'checkpoint' | 'opening' | 'retirement' | 'act';
  readonly severity: 'info' | 'notice' | 'warning' | 'error';
  /** What is known of it, by the names of the record; nothing stands for what is not. */
  readonly fields: Readonly<Record<string, string | number>>;
  /** The line as it stands in the record, without its line feed; an act of the CA as JSON. */
  readonly text: string;
}

/** What became of a batch. */
export type Sent =
  /** With what the collector says of records that it won't take, although it took the others. */
  | { readonly kind: 'sent'; readonly partial?: string }
  /** To be sent again, after so many ms if the collector says when. */
  | { readonly kind: 'later'; readonly reason: string; readonly after?: number }
  /** Sending it again is of no use. */
  | { readonly kind: 'refused'; readonly reason: string };

export interface Sender {
  /** Never rejects. */
  send(batch: readonly ExportEntry[]): Promise<Sent>;
  close(): void;
}
