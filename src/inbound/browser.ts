// A certificate in a browser is ambient authority: any page the person visits can make the browser send requests and
// open WebSockets with it. Such a page can't hide where it is from: browsers send Origin and Sec-Fetch-Site, and pages
// can't change them (Fetch Standard §3.2, Fetch Metadata). Programs send neither and are not concerned.

import type { RequestHead } from '../http1/request.ts';

/** Why a request that may change something comes from another site's page; null when it doesn't. */
export function crossSite(head: RequestHead, matters: boolean): string | null {
  if (!matters) return null;
  let origin: string | null = null;
  let site: string | null = null;
  for (let i = 0; i < head.names.length; i++) {
    if (head.names[i] === 'origin') origin = head.values[i] ?? '';
    else if (head.names[i] === 'sec-fetch-site') site = head.values[i] ?? '';
  }
  if (site !== null && site !== 'same-origin' && site !== 'none') {
    return 'a page of another site may not do this with your certificate';
  }
  if (origin !== null && hostOf(origin) !== head.host.toLowerCase()) {
    return 'a page of another origin may not do this with your certificate';
  }
  return null;
}

/** `host[:port]` of an Origin, lower case, without the scheme's own port only where the client leaves it out too. */
function hostOf(origin: string): string {
  const match = /^https?:\/\/([^/]+)$/i.exec(origin);
  return match?.[1]?.toLowerCase() ?? '';
}
