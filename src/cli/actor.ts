// Who is at this command line, for the CA's audit: `cli:alice@host`. It is what the machine says, not proof of anything;
// proof is that only the owner can open the store and the issuer's key.
import { hostname, userInfo } from 'node:os';

/** `cli:<user>@<host>`; the user's number when the machine has no name for it, as in many containers. */
export function actor(): string {
  return `cli:${userName()}@${hostname().toLowerCase()}`;
}

function userName(): string {
  try {
    return userInfo().username;
  } catch {
    return String(process.getuid?.() ?? 'unknown');
  }
}
