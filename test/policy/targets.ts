// Request targets that path matching has been fooled with, systematically and at random, for both tests of paths.

import fc from 'fast-check';

/** One character per byte, as in a request line. */
function everyByte(): string[] {
  const targets: string[] = [];
  for (let byte = 0; byte < 256; byte++) {
    const hex = byte.toString(16).padStart(2, '0');
    for (const triplet of [`%${hex}`, `%${hex.toUpperCase()}`, `%25${hex}`]) {
      targets.push(`/api/flows/name/a${triplet}b`, `/api/flows/name/${triplet}`, `/${triplet}api/flows/`);
    }
    const raw = String.fromCharCode(byte);
    targets.push(`/api/flows/name/a${raw}b`, `/api/flows/name/${raw}`, `/api/flows/?a${raw}b=%${hex}`);
  }
  return targets;
}

const UTF8_ODDITIES = [
  '%c0%af', // overlong slash
  '%e0%80%af',
  '%f0%80%80%af',
  '%c0%ae%c0%ae', // overlong ..
  '%c1%9c', // overlong backslash
  '%ed%a0%80', // surrogate
  '%ed%a0%bd%ed%b8%80', // surrogate pair, CESU-8
  '%f4%90%80%80', // above U+10FFFF
  '%f8%88%80%80%80',
  '%c3', // cut short
  '%c3%28',
  '%80',
  '%c3%a9',
  '%e2%82%ac',
  '%f0%9f%98%80',
  '%ef%bb%bf', // byte order mark
  '%ef%bf%bd', // the replacement character itself
  '%ef%bf%be',
  '%e2%80%a8',
  '%e2%80%ae',
  '%c2%85',
  '%ef%bc%8f', // fullwidth solidus
  '%e2%88%95',
  'e%cc%81',
];

/** All that is tried one by one. */
export const ODD_TARGETS: readonly string[] = [
  ...everyByte(),
  ...UTF8_ODDITIES.flatMap((odd) => [`/api/flows/name/${odd}`, `/api/flows/name/a${odd.toUpperCase()}b/c?${odd}`]),
  '/',
  '//',
  '//api/flows/',
  '/api//flows/',
  '/api/flows//',
  '/api/flows',
  '/api/flows/',
  '/api/./flows/',
  '/api/../api/flows/',
  '/api/flows/.',
  '/api/flows/..',
  '/api/flows/...',
  '/api/flows/.hidden',
  '/api/flows/a..b',
  '/api/flows/%2e',
  '/api/flows/%2e.',
  '/api/flows/%2E%2E/flow_runs/',
  '/api/flows/..%2fflow_runs/',
  '/api/flows/..%5cflow_runs/',
  '/api/flows/..;/flow_runs/',
  '/api/flows;x=1/name/a;b',
  '/%61pi/flows/',
  '/api%2fflows/',
  '/api/flows/%00',
  '/api/flows/%',
  '/api/flows/%4',
  '/api/flows/%zz',
  '/api/flows/%u0041',
  '/api/flows/%252e%252e/',
  '/api/flows/name/50%25',
  '/api/flows/name/50%25%25',
  '/api/flows/name/a+b',
  "/api/flows/name/~a!b$c&d'e(f)g*h,i=j:k@l",
  '/api/flows/name/"<>[]^`{|}',
  '/api/flows/name/a%3fb%23c?d?e',
  '/api/flows/?',
  '/api/flows/?%2e%2e/%00&a=%zz&b[]={}|"<>\\^`',
  '/api/flows/#top',
  '/api/flows/?a#top',
  'api/flows/',
  'http://gate.example/api/flows/',
  '*',
  '',
  'gate.example:443',
  `/api/flows/name/${'a'.repeat(8000)}`,
];

const PIECES = [
  ...Array.from('/./?#\\%;+~|[]"@:&=*! \t'),
  ...['..', '//', '%2f', '%2F', '%5c', '%2e', '%2E', '%00', '%0a', '%25', '%252f', '%3f', '%23', '%3b', '%41', '%7f'],
  ...['%', '%4', '%zz', 'api', 'flows', 'name', 'é', '\u007f', '\u0085', '/api', '/flows/', 'a', 'b', '-', '_', '0'],
  ...UTF8_ODDITIES,
];

/** Any mixture of the pieces, most of them harmless enough to be accepted now and then. */
export const mixedTarget: fc.Arbitrary<string> = fc
  .array(
    fc.oneof(
      { weight: 3, arbitrary: fc.constantFrom('a', 'flows', '/name', '%C3%A9', '/x', '.y') },
      fc.constantFrom(...PIECES),
    ),
    {
      maxLength: 12,
    },
  )
  .map((pieces) => `/${pieces.join('')}`);

/** A decoded path that should be accepted in its canonical encoding: segments of any Unicode but what is refused. */
export const plainPath: fc.Arbitrary<string> = fc
  .array(
    fc
      .string({ unit: 'binary', minLength: 1, maxLength: 12 })
      .map((text) => text.replace(/[/\\\p{Cc}]|%(?=[0-9A-Fa-f]{2})/gu, '_'))
      .filter((text) => text.isWellFormed() && text !== '.' && text !== '..'),
    { minLength: 1, maxLength: 5 },
  )
  .map((segments) => `/${segments.join('/')}`);
