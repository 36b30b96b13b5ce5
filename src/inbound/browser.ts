// A certificate in a browser is ambient authority: any page the person visits can make the browser send requests and
// open WebSockets with it, or put the interface into a frame and have her click there. Such a page can't hide where it is
// from: browsers send Origin and Sec-Fetch-Site, and pages can't change them (Fetch Standard §3.2, Fetch Metadata). All that
// another site may do is to bring a person here: a link, which opens a page of its own. Programs send neither header and are
// not concerned.

import type { RequestHead } from '../http1/request-head.ts';
import { clientProto } from './request-head.ts';

/** Why a request comes from another site's page and may not; null when it doesn't. `changes` when it may change something. */
export function crossSite(head: RequestHead, changes: boolean): string | null {
  // Browsers leave out the scheme's own port in both. A page of plain http is another origin: a network can forge it.
  const own = `${clientProto(head)}://${head.host}`.toLowerCase();
  for (let i = 0; i < head.names.length; i++) {
    const value = head.values[i] ?? '';
    if (head.names[i] === 'sec-fetch-site' && value !== 'same-origin' && value !== 'none') {
      if (changes || !isLink(head)) return 'a page of another site may not do this with your certificate';
    }
    if (head.names[i] === 'origin' && value.toLowerCase() !== own) {
      return 'a page of another origin may not do this with your certificate';
    }
  }
  return null;
}

/** Whether the browser shows what comes as a page of its own, not in a frame or as a part of another. */
function isLink({ names, values }: RequestHead): boolean {
  const said = (name: string): string | undefined => values[names.indexOf(name)];
  return said('sec-fetch-mode') === 'navigate' && said('sec-fetch-dest') === 'document';
}
