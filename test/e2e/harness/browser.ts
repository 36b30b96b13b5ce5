// Chromium as a person has it: a profile that holds the CA's root and, when it is given, a certificate of the person's own, which
// it presents to the gate without a question.

import { join } from 'node:path';
import { browserWith, noChromium } from './chromium.ts';
import type { House } from './house.ts';

export const PASSWORD = 'pä ss ☃';

/** Why there is no such browser here; null when there is. */
export function noBrowser(): string | null {
  return noChromium;
}

/** What `url` shows, after `ms` of the page's own time, to who has the certificate in `pkcs12` for the gate at `port`. */
export async function pageOf(
  { dir }: Pick<House, 'dir'>,
  port: number,
  url: string,
  pkcs12: string | null,
  ms = 0,
): Promise<string> {
  const browser = await browserWith({
    trusted: [join(dir, 'certs/root.crt')],
    pkcs12: pkcs12 === null ? null : { file: pkcs12, password: PASSWORD },
    origin: `https://localhost:${port}`,
  });
  return browser.dump(url, ms);
}
