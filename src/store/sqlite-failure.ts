// What SQLite says when it fails, in certgate's words. SQLite's primary result codes (sqlite.org/rescode.html) decide;
// the extended code goes into the message. It adds nothing but what the file system can tell at that moment.
import { accessSync, constants, statfsSync } from 'node:fs';
import { dirname } from 'node:path';
import { CertgateError, fileReason, isCertgateError, reasonOf } from '../errors.ts';

const BUSY = 5;
const LOCKED = 6;
const READONLY = 8;
const IOERR = 10;
const CORRUPT = 11;
const FULL = 13;
/** Of what was written: unlike with any other failure, it may be found there later. */
const IOERR_FSYNC = 1034;
const CANTOPEN = 14;
const CONSTRAINT_PRIMARY_KEY = 1555;
const CONSTRAINT_UNIQUE = 2067;
const NOTADB = 26;

/** SQLite's extended result code, or null when the error isn't SQLite's. */
function resultCode(error: unknown): number | null {
  if (!(error instanceof Error) || !('errcode' in error)) return null;
  return typeof error.errcode === 'number' ? error.errcode : null;
}

/** True when another connection holds a lock, so that trying again may help. */
export function isBusy(error: unknown): boolean {
  const code = resultCode(error);
  return code !== null && ((code & 0xff) === BUSY || (code & 0xff) === LOCKED);
}

/** True when a row was refused because its unique value exists. */
export function isTaken(error: unknown): boolean {
  const code = resultCode(error);
  return code === CONSTRAINT_UNIQUE || code === CONSTRAINT_PRIMARY_KEY;
}

/** The catalogue's error for whatever was thrown while the store at `location` was used; `waited` in ms. */
export function storeFailure(error: unknown, location: string, waited = 0): CertgateError {
  if (isCertgateError(error)) return error;
  const cause = { cause: error };
  const code = resultCode(error);
  if (code === null) {
    if (error instanceof Error && 'code' in error && error.code === 'ERR_INVALID_STATE') {
      return new CertgateError('CG_STORE_CLOSED', { location }, cause);
    }
    return new CertgateError('CG_INTERNAL', { problem: `store ${location}: ${reasonOf(error)}` }, cause);
  }
  const problem = `${reasonOf(error)} (SQLite ${code})`;
  switch (code & 0xff) {
    case BUSY:
    case LOCKED:
      return new CertgateError('CG_STORE_BUSY', { location, waited }, cause);
    case READONLY:
      return new CertgateError('CG_STORE_READONLY', { location, problem }, cause);
    case FULL:
      return new CertgateError('CG_STORE_FULL', { location, problem }, cause);
    case IOERR:
      // The shared-memory file beside the store meets a full disk as an I/O error.
      return new CertgateError(
        code !== IOERR_FSYNC && noRoomAt(location) ? 'CG_STORE_FULL' : 'CG_STORE_IO',
        { location, problem },
        cause,
      );
    case CANTOPEN: {
      const forbidden = forbiddenAt(location);
      if (forbidden === null) return new CertgateError('CG_STORE_IO', { location, problem }, cause);
      return new CertgateError('CG_STORE_READONLY', { location, problem: forbidden }, cause);
    }
    case CORRUPT:
      return new CertgateError('CG_STORE_CORRUPT', { location, problem }, cause);
    case NOTADB:
      return new CertgateError('CG_STORE_FOREIGN', { location, problem: reasonOf(error) }, cause);
    default:
      return new CertgateError('CG_INTERNAL', { problem: `store ${location}: ${problem}` }, cause);
  }
}

/**
 * Why the store may not be written, null when it may. SQLite needs to write it and to make files beside it, even for reading; it
 * doesn't say which it could not.
 */
export function forbiddenAt(location: string): string | null {
  for (const path of [dirname(location), location]) {
    try {
      accessSync(path, constants.R_OK | constants.W_OK);
    } catch (error) {
      return fileReason(error);
    }
  }
  return null;
}

function noRoomAt(location: string): boolean {
  try {
    return statfsSync(dirname(location)).bavail === 0;
  } catch {
    return false;
  }
}
