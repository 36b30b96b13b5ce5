// Prefect's UI asks GET /ui-settings where the API is, and Prefect answers with its own address: behind a gate that is a
// loopback address which the person's browser can't reach, or reaches without the gate. The gate puts in the address by
// which the browser came. An address that an operator has set (PREFECT_UI_API_URL) is left as it is.

import type { AnswerChange } from '../proxy/contract.ts';

const OWN_MACHINE = /^(?:localhost|127\.\d{1,3}\.\d{1,3}\.\d{1,3}|\[::1?\]|0\.0\.0\.0)$/;

/** Rewrites `api_url` to `proto`://`host` with its own path, but for `apiPath`, which is /api here; anything that is not that answer passes unchanged. */
export function rewriteUiSettings(
  proto: 'http' | 'https',
  host: string,
  { holdsPassword, apiPath }: { readonly holdsPassword: boolean; readonly apiPath: string },
): AnswerChange {
  const rewrite: AnswerChange['rewrite'] = (body, head) => {
    if (head.status !== 200) return body;
    try {
      const settings: unknown = JSON.parse(body.toString('utf8'));
      if (typeof settings !== 'object' || settings === null || !('api_url' in settings)) return body;
      const url = new URL(String(settings.api_url));
      const path = url.pathname === apiPath ? '/api' : url.pathname;
      const apiUrl = OWN_MACHINE.test(url.hostname) ? `${proto}://${host}${path}` : settings.api_url;
      // With the gate's password nobody needs to be asked for one.
      const auth = holdsPassword ? { auth: null } : {};
      return Buffer.from(JSON.stringify({ ...settings, ...auth, api_url: apiUrl }), 'utf8');
    } catch {
      return body;
    }
  };
  return { most: LONGEST, must: false, rewrite };
}

/** Bytes. */
const LONGEST = 262_144;
