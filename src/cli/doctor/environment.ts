// Checks of `certgate doctor` about the Prefect settings in the environment that would lead a Prefect client around the
// sidecar, or break it (prefect-facts.md §1).

import { type Finding, failure, fine, warning } from './finding.ts';

const RESERVED = /^(?:x-forwarded-|x-certgate-|client-cert|x-real-ip|forwarded)/i;

/** Judges the environment of a Prefect client. `gate` is the gate's URL; null when this machine has no sidecar. */
export function checkEnvironment(env: NodeJS.ProcessEnv, gate: string | null): Finding[] {
  const findings: Finding[] = [];
  const url = env['PREFECT_API_URL'];
  if (url !== undefined && url !== '') findings.push(checkApiUrl(url, gate));
  if ((env['PREFECT_API_KEY'] ?? '') !== '') {
    findings.push(
      warning('PREFECT_API_KEY', 'is set: Prefect sends it as a password in every request', 'unset PREFECT_API_KEY'),
    );
  }
  if (env['PREFECT_API_TLS_INSECURE_SKIP_VERIFY']?.match(/^(?:1|true|yes|on)$/i)) {
    const found = 'is on: a Prefect client would trust any server';
    findings.push(warning('PREFECT_API_TLS_INSECURE_SKIP_VERIFY', found, 'unset it; the sidecar verifies the gate'));
  }
  const headers = env['PREFECT_CLIENT_CUSTOM_HEADERS'];
  const reserved = headers === undefined ? [] : headerNames(headers).filter((name) => RESERVED.test(name));
  if (reserved.length > 0) {
    const found = `sets ${reserved.join(', ')}, which the gate removes`;
    findings.push(warning('PREFECT_CLIENT_CUSTOM_HEADERS', found, 'remove these headers'));
  }
  // As Python reads them: where both are set that in small letters goes first, even an empty one, which is none.
  const read = (name: string): string => env[name.toLowerCase()] ?? env[name] ?? '';
  const proxy = ['HTTP_PROXY', 'ALL_PROXY'].find((name) => read(name) !== '');
  const direct = read('NO_PROXY')
    .split(',')
    .map((host) => host.trim());
  if (proxy !== undefined && !direct.includes('*') && !(direct.includes('127.0.0.1') && direct.includes('localhost'))) {
    const found = 'is set, so Prefect would use the proxy to reach the sidecar on loopback';
    findings.push(failure(proxy, found, 'export NO_PROXY=127.0.0.1,localhost (certgate run does it by itself)'));
  }
  return findings.length > 0 ? findings : [fine('environment', 'no Prefect setting is in the way')];
}

function checkApiUrl(text: string, gate: string | null): Finding {
  const check = 'PREFECT_API_URL';
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    return failure(check, `${text} is not a URL`, 'export PREFECT_API_URL=http://127.0.0.1:4210/api');
  }
  const loopback = /^(?:localhost|127\.[\d.]+|\[::1\])$/.test(url.hostname);
  if (gate !== null && url.origin === new URL(gate).origin) {
    const found = 'points to the gate itself, but a Prefect client has no certificate to present';
    return failure(check, found, 'point it at the sidecar: export PREFECT_API_URL=http://127.0.0.1:4210/api');
  }
  if (!loopback && gate !== null) {
    const found = `points to ${url.origin}, which bypasses the sidecar`;
    return failure(check, found, 'export PREFECT_API_URL=http://127.0.0.1:4210/api, or use certgate run');
  }
  if (!url.pathname.replace(/\/$/, '').endsWith('/api')) {
    return warning(check, `${text} does not end with /api`, `export PREFECT_API_URL=${url.origin}/api`);
  }
  return fine(check, text);
}

function headerNames(json: string): string[] {
  try {
    const parsed: unknown = JSON.parse(json);
    return typeof parsed === 'object' && parsed !== null ? Object.keys(parsed) : [];
  } catch {
    return [];
  }
}
