// OpenSSL's and nginx's clients ask for lists and for OCSP in HTTP/1.0, which the one reader of requests (src/http1) does
// not speak, and must not, for what is forwarded. A request of theirs is made one of HTTP/1.1 before it is read, so that
// there is still only one reader, as strict as ever: the version, and a Host where there is none, as 1.0 allows. Pure.

const HEAD_END = Buffer.from('\r\n\r\n', 'latin1');
const LINE_END = Buffer.from('\r\n', 'latin1');
const OLD = Buffer.from(' HTTP/1.0', 'latin1');
const NEW = Buffer.from(' HTTP/1.1', 'latin1');
const HOST = Buffer.from('\r\nhost: none', 'latin1');

/** The same octets with their first head in HTTP/1.1; null when that is not a whole one in HTTP/1.0. */
export function asHttp11(bytes: Buffer): Buffer | null {
  const lineEnd = bytes.indexOf(LINE_END);
  const headEnd = bytes.indexOf(HEAD_END);
  const at = lineEnd - OLD.length;
  if (headEnd < 0 || at < 0 || !bytes.subarray(at, lineEnd).equals(OLD)) return null;
  const hasHost = /\r\nhost[ \t]*:/i.test(bytes.toString('latin1', lineEnd, headEnd));
  return Buffer.concat([bytes.subarray(0, at), NEW, hasHost ? Buffer.alloc(0) : HOST, bytes.subarray(lineEnd)]);
}
