// What may be written into a certificate. RFC 5280 and SPIFFE set the limits; these functions hold them before anything
// is signed, so that no certificate of ours has to be read leniently. They hand back what they were given (addresses in
// their one form) or throw CG_CERT_CONTENT with what to write instead.
import { CertgateError, shown } from '../errors.ts';

const LABEL = '[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?';
/** RFC 1034 preferred names, a wildcard as the whole first label, and `_`, which host names in the field do have. */
const DNS_NAME = new RegExp(`^(?:\\*\\.)?${LABEL}(?:\\.${LABEL})*$`);
const IPV4 = /^(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(?:\.(?!$)|$)){4}$/;
const SPIFFE_ID = /^spiffe:\/\/[a-z0-9._-]{1,255}(?:\/[A-Za-z0-9._-]+)+$/;
const SERIAL = /^(?!00)(?:[0-9a-f]{2}){8,20}$/;
const LAST_MOMENT = Date.UTC(9999, 11, 31, 23, 59, 59);
const FIRST_MOMENT = Date.UTC(1950, 0, 1);

function refuse(problem: string, remedy: string): never {
  throw new CertgateError('CG_CERT_CONTENT', { problem, remedy });
}

/** A common name: 1 to 64 characters (ub-common-name), none of them a control or formatting character. */
export function checkCommonName(commonName: string): string {
  const length = Array.from(commonName).length;
  if (length === 0 || length > 64 || !isVisible(commonName)) {
    refuse(`common name ${shown(commonName)}`, 'use 1 to 64 visible characters');
  }
  return commonName;
}

/** An organizational unit: the same, with another bound of the same size (ub-organizational-unit-name). */
export function checkUnit(unit: string): string {
  const length = Array.from(unit).length;
  if (length === 0 || length > 64 || !isVisible(unit)) refuse(`OU ${shown(unit)}`, 'use 1 to 64 visible characters');
  return unit;
}

function isVisible(text: string): boolean {
  return text.isWellFormed() && !/[\p{C}\p{Zl}\p{Zp}]/u.test(text);
}

export function checkDnsName(name: string): string {
  if (addressOrNull(name) !== null)
    refuse(`DNS name ${shown(name)} is an address`, `give it as an address: --ip ${name}`);
  if (name.length > 253 || !DNS_NAME.test(name) || /(?:^|\.)\d+$/.test(name)) {
    refuse(
      `DNS name ${shown(name)}`,
      'use a host name such as prefect.example.com; international names in their xn-- form',
    );
  }
  return name;
}

/** Whether it names one host: no wildcard, no address. */
export function isHostName(name: string): boolean {
  return !name.startsWith('*') && name.length <= 253 && DNS_NAME.test(name) && !/(?:^|\.)\d+$/.test(name);
}

/** An IP address, IPv6 in the form of RFC 5952. */
export function checkAddress(address: string): string {
  return (
    addressOrNull(address) ??
    refuse(`address ${shown(address)}`, 'use an address such as 192.0.2.7 or 2001:db8::7, without a zone')
  );
}

function addressOrNull(text: string): string | null {
  if (IPV4.test(text)) return text;
  if (!/^[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*$/.test(text) || !URL.canParse(`http://[${text}]`)) return null;
  return new URL(`http://[${text}]`).hostname.slice(1, -1);
}

/** A SPIFFE ID with a path (SPIFFE-ID §2), at most 2048 octets. */
export function checkUri(uri: string): string {
  if (uri.length > 2048 || !SPIFFE_ID.test(uri) || /\/\.{1,2}(?:\/|$)/.test(uri)) {
    refuse(`SPIFFE ID ${shown(uri)}`, 'use spiffe://TRUST-DOMAIN/KIND/NAME');
  }
  return uri;
}

/** A trust domain that is one host for a name constraint: a leading dot would permit every domain below it. */
export function checkTrustDomain(trustDomain: string): string {
  if (trustDomain.length > 255 || !/^[a-z0-9_-]+(?:\.[a-z0-9_-]+)*$/.test(trustDomain)) {
    refuse(`trust domain ${shown(trustDomain)}`, 'use lower-case labels joined by dots, e.g. prefect.example.com');
  }
  return trustDomain;
}

/** A serial number as hex of whole octets, positive once its sign octet is added, at most 20 octets with it. */
export function checkSerial(serial: string): string {
  const octets = serial.length / 2 + (Number.parseInt(serial.slice(0, 2), 16) >= 0x80 ? 1 : 0);
  if (!SERIAL.test(serial) || octets > 20)
    refuse(`serial number ${shown(serial)}`, 'use 8 to 20 octets in lower-case hex, the first not 00');
  return serial;
}

/** Both dates cut to whole seconds, in order, and within what RFC 5280 §4.1.2.5 can write. */
export function checkValidity(notBefore: Date, notAfter: Date): { notBefore: Date; notAfter: Date } {
  const from = Math.floor(notBefore.getTime() / 1000) * 1000;
  const to = Math.floor(notAfter.getTime() / 1000) * 1000;
  if (!(from >= FIRST_MOMENT && to <= LAST_MOMENT && from < to)) {
    refuse(
      `validity from ${String(notBefore)} to ${String(notAfter)}`,
      'use an end after the beginning, between 1950 and 9999',
    );
  }
  return { notBefore: new Date(from), notAfter: new Date(to) };
}
