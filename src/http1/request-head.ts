// The head of an HTTP/1.1 request, as it was read (request.ts).

export interface RequestHead {
  readonly ok: true;
  /** The request line as sent, without its CRLF. */
  readonly line: string;
  /** Upper-case as sent, e.g. `GET`. */
  readonly method: string;
  /** Origin form as sent: path and query, printable ASCII without `#`. */
  readonly target: string;
  readonly host: string;
  /**
   * Header names in lower case, in the order sent; `values[i]` belongs to `names[i]`. Heads of one connection that differ
   * in nothing but request line and Content-Length may share one array.
   */
  readonly names: readonly string[];
  readonly values: readonly string[];
  /** Bytes of body to come: 0 and more, or CHUNKED. */
  readonly bodyLength: number;
  /** The client will not reuse the connection (`Connection: close`). */
  readonly close: boolean;
  /** The protocol of an `Upgrade` that `Connection` names, lower case; null for none. */
  readonly upgrade: string | null;
  /** The client waits for `100 Continue` before it sends the body. */
  readonly expectsContinue: boolean;
  /** Header names that `Connection` declares to be this hop's alone; null for none. */
  readonly connectionNames: readonly string[] | null;
  /** Bytes of the buffer that the head takes, from where reading began. */
  readonly size: number;
}
