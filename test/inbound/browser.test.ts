import { describe, expect, it } from 'vitest';
import { crossSite } from '../../src/inbound/browser.ts';
import { headOf } from './heads.ts';

describe('a request that may change something', () => {
  it.each([
    ['a program, which sends neither header', []],
    ['the gate’s own page', ['Origin: https://gate.test', 'Sec-Fetch-Site: same-origin']],
    ['the address bar', ['Sec-Fetch-Site: none']],
    [
      'the page that its sidecar serves over plain http',
      ['Origin: http://gate.test', 'X-Certgate-Client-Proto: http', 'Sec-Fetch-Site: same-origin'],
    ],
  ])('passes from %s', (_who, lines) => {
    expect(crossSite(headOf(lines), true)).toBeNull();
  });

  it.each([
    ['another site’s page', ['Origin: https://evil.test', 'Sec-Fetch-Site: cross-site']],
    ['a sibling of the gate’s site', ['Origin: https://wiki.test', 'Sec-Fetch-Site: same-site']],
    ['an old browser’s page that sends only Origin', ['Origin: https://evil.test']],
    ['a page without an origin', ['Origin: null']],
    ['a page of the gate’s name that came over plain http', ['Origin: http://gate.test']],
    ['another site’s page beside the gate’s own', ['Origin: https://evil.test', 'Origin: https://gate.test']],
    ['another site’s page behind the gate’s own', ['Origin: https://gate.test', 'Origin: https://evil.test']],
    ['two sites at once', ['Sec-Fetch-Site: cross-site', 'Sec-Fetch-Site: same-origin']],
    ['another port of the gate’s host', ['Origin: https://gate.test:444']],
    ['a name that ends like the gate’s', ['Origin: https://evilgate.test']],
  ])('is refused from %s', (_who, lines) => {
    expect(crossSite(headOf(lines), true)).toBeTypeOf('string');
  });
});

describe('a request that only reads', () => {
  const FOREIGN = ['Sec-Fetch-Site: cross-site'];
  const LINK = ['Sec-Fetch-Mode: navigate', 'Sec-Fetch-Dest: document'];
  it.each([
    ['a link of another site', [...FOREIGN, ...LINK]],
    ['a link of a sibling of the gate’s site', ['Sec-Fetch-Site: same-site', ...LINK]],
    ['the gate’s own page', ['Sec-Fetch-Site: same-origin', 'Sec-Fetch-Mode: cors', 'Sec-Fetch-Dest: empty']],
    [
      'a frame of the gate’s own page',
      ['Sec-Fetch-Site: same-origin', 'Sec-Fetch-Mode: navigate', 'Sec-Fetch-Dest: iframe'],
    ],
    ['a program', []],
  ])('passes from %s', (_who, lines) => {
    expect(crossSite(headOf(lines), false)).toBeNull();
  });

  it.each([
    [
      'a frame on another site’s page, in which she could be made to click',
      ['Sec-Fetch-Mode: navigate', 'Sec-Fetch-Dest: iframe'],
    ],
    ['a script of another site’s page', ['Sec-Fetch-Mode: cors', 'Sec-Fetch-Dest: empty', 'Origin: https://evil.test']],
    ['an image of another site’s page', ['Sec-Fetch-Mode: no-cors', 'Sec-Fetch-Dest: image']],
    ['an object of another site’s page', ['Sec-Fetch-Mode: navigate', 'Sec-Fetch-Dest: object']],
    ['a browser that does not say what for', []],
    ['a form of another site’s page', [...LINK, 'Origin: null']],
  ])('is refused from %s', (_who, lines) => {
    expect(crossSite(headOf([...FOREIGN, ...lines]), false)).toBeTypeOf('string');
  });

  it('is refused from an old browser’s page that sends only Origin', () => {
    expect(crossSite(headOf(['Origin: https://evil.test']), false)).toBeTypeOf('string');
  });
});
