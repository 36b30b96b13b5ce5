// A certificate in a browser is ambient authority: any page the person visits can make the browser send requests and
// open WebSockets with it. Such a page can't hide where it is from: browsers send Origin and Sec-Fetch-Site, and pages
// can't change them (Fetch Standard §3.2, Fetch Metadata). Programs send neither and are not concerned.

import type { RequestHead } from '../http1/request.ts';
import { clientProto } from './request-head.ts';

/** Why a request that may change something comes from another site's page; null when it doesn't. */
export function crossSite(head: RequestHead, matters: boolean): string | null {
  if (!matters) return null;
  // Browsers leave out the scheme's own port in both. A page of plain http is another origin: a network can forge it.
  const own = `${clientProto(head)}://${head.host}`.toLowerCase();
  for (let i = 0; i < head.names.length; i++) {
    const value = head.values[i] ?? '';
    if (head.names[i] === 'sec-fetch-site' && value !== 'same-origin' && value !== 'none') {
      return 'a page of another site may not do this with your certificate';
    }
    if (head.names[i] === 'origin' && value.toLowerCase() !== own) {
      return 'a page of another origin may not do this with your certificate';
    }
  }
  return null;
}
